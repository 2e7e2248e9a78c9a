"""Run a deployed Paddle program on one batch: ``python -m fastfcn_export.deployed.run_paddle ...``.

    MODEL PARAMS BATCH.npy ANSWER.npz THREADS END

Saves the program's output and, if its END is not ``none``, the scores before that:
labels alone agree too easily. Runs in a process of its own, as Paddle may abort the process. oneDNN
is off: Paddle 3.3 fails with it and 3.2 is wrong with it (design.md, 8), and this is the reference.
"""

import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

# Operators that turn scores into labels or probabilities, and others around them; Paddle 3 and 2.
_ENDS = {"argmax", "arg_max", "softmax", "sigmoid"}
_AROUND = {*_ENDS, "scale", "cast", "squeeze", "squeeze2"}


def main() -> int:
    """Read the arguments, run, save the outputs and Paddle's version."""
    import paddle

    model, params, batch_file, output_file, threads, end = sys.argv[1:]
    batch = np.load(batch_file)
    outputs = {"output": _run(Path(model), Path(params), batch, int(threads))}
    if end != "none":
        with tempfile.TemporaryDirectory() as folder:
            cut = _cut(Path(model), Path(params), Path(folder, "cut"))
            outputs["scores"] = _run(cut, cut.with_suffix(".pdiparams"), batch, int(threads))
    np.savez(output_file, version=paddle.__version__, **outputs)
    return 0


def _run(model: Path, params: Path, batch: Any, threads: int) -> Any:
    from paddle import inference

    config = inference.Config(str(model), str(params))
    config.disable_glog_info()
    config.disable_gpu()
    config.disable_mkldnn()
    config.set_cpu_math_library_num_threads(threads)
    opened = inference.create_predictor(config)
    given = opened.get_input_handle(opened.get_input_names()[0])
    given.reshape(batch.shape)
    given.copy_from_cpu(batch)
    opened.run()
    return opened.get_output_handle(opened.get_output_names()[0]).copy_to_cpu()


def _cut(model: Path, params: Path, stem: Path) -> Path:
    """Save the program without the operators after its scores."""
    import paddle

    paddle.enable_static()
    executor = paddle.static.Executor(paddle.CPUPlace())
    is_old = model.suffix == ".pdmodel"
    with paddle.pir_utils.OldIrGuard() if is_old else contextlib.nullcontext():
        program, fed, outputs = paddle.static.load_inference_model(
            str(model.parent), executor, model_filename=model.name, params_filename=params.name
        )
        inputs = [program.global_block().var(name) for name in fed] if is_old else _fed(program)
        scores = _scores_old(program, outputs[0]) if is_old else _scores(outputs[0])
        paddle.static.save_inference_model(str(stem), inputs, [scores], executor, program=program)
    return stem.with_suffix(model.suffix)


def _fed(program: Any) -> list[Any]:
    operations = program.global_block().ops
    return [op.results()[0] for op in operations if op.name() == "pd_op.feed"] or [
        op.results()[0] for op in operations if op.name() == "pd_op.data"
    ]


def _scores(output: Any) -> Any:
    value = scores = output
    while (kind := value.get_defining_op().name().removeprefix("pd_op.")) in _AROUND:
        value = value.get_defining_op().operand_source(0)
        scores = value if kind in _ENDS else scores
    return scores


def _scores_old(program: Any, output: Any) -> Any:
    block = program.global_block()
    makers = {name: op for op in block.ops for name in op.output_arg_names}
    value = scores = output
    while (kind := makers[value.name].type) in _AROUND:
        value = block.var(makers[value.name].input("X")[0])
        scores = value if kind in _ENDS else scores
    return scores


if __name__ == "__main__":
    sys.exit(main())
