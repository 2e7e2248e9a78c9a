"""Run a deployed Paddle program on one batch: ``python -m fastfcn_export.deployed_run ...``.

    MODEL PARAMS BATCH.npy ANSWER.npz THREADS

Runs in a process of its own, which Paddle may end as it likes. oneDNN is off: Paddle 3.3 fails with
it and 3.2 is wrong with it (design.md, 8), and this one is the judge.
"""

import sys

import numpy as np


def main() -> int:
    """Read the arguments, run, save the first answer and Paddle's version."""
    import paddle
    from paddle import inference

    model, params, batch_file, answer_file, threads = sys.argv[1:]
    config = inference.Config(model, params)
    config.disable_glog_info()
    config.disable_gpu()
    config.disable_mkldnn()
    config.set_cpu_math_library_num_threads(int(threads))
    opened = inference.create_predictor(config)
    batch = np.load(batch_file)
    given = opened.get_input_handle(opened.get_input_names()[0])
    given.reshape(batch.shape)
    given.copy_from_cpu(batch)
    opened.run()
    answer = opened.get_output_handle(opened.get_output_names()[0]).copy_to_cpu()
    np.savez(answer_file, answer=answer, version=paddle.__version__)
    return 0


if __name__ == "__main__":
    sys.exit(main())
