"""Descriptions and manifests as text for people."""

from fastfcn_export.describe import Description
from fastfcn_infer.artifact.manifest import Manifest, Network


def description_text(description: Description) -> str:
    """Write what a checkpoint is, what it costs and what was assumed."""
    height, width = description.size
    lines = [
        network_text(description.network, description.classes),
        *([f"trained  {description.trained}"] if description.trained else []),
        "",
        f"{'part':<18}{'parameters':>14}{'multiply-adds':>18}   (one picture of {height} x {width})",
    ]
    for stage, cost in description.stages.items():
        lines.append(f"{stage:<18}{cost.parameters:>14,}{cost.multiply_adds / 1e9:>16.2f} G")
    network = description.network
    lines += [
        f"{'all':<18}{network.parameters:>14,}{network.multiply_adds / 1e9:>16.2f} G",
        "",
        f"memory   weights {description.weights_bytes / 1e6:.0f} MB, largest layer "
        f"{description.activations_bytes / 1e6:.0f} MB",
    ]
    lines += [
        f"unused   {count} tensors: {reason}" for reason, count in description.unused.items()
    ]
    return "\n".join(lines)


def manifest_text(manifest: Manifest, folder: str) -> str:
    """Write what an export made and how well it was proven."""
    model = manifest.model
    size = sum(facts.size for facts in manifest.files.values())
    lines = [
        network_text(model.network, len(model.classes)),
        f"artifact {folder}, {len(manifest.files)} files, {size / 1e6:.1f} MB",
    ]
    proof = manifest.verification
    if proof is None:
        lines.append("verified not at all: --verify off")
    else:
        lines.append(
            f"verified {proof.runtime} against {proof.reference}: worst difference "
            f"{proof.worst_difference:.1e} of the largest answer (allowed "
            f"{proof.allowed_difference:.0e}), {proof.label_agreement:.3%} of the labels agree"
        )
    return "\n".join(lines)


def network_text(network: Network, classes: int) -> str:
    """Write the facts about a network."""
    parts = []
    if network.output_stride is not None:  # of a network whose parts are known
        stride = f"output stride {network.output_stride}"
        parts = [network.backbone, stride, network.jpu or "no JPU"]
    parts += ["laterals"] if network.laterals else []
    lines = [
        f"dialect  {network.dialect}",
        f"network  {', '.join([network.head, *parts, f'{classes} classes'])}",
    ]
    lines += [f"assumed  {sentence}" for sentence in network.assumed]
    return "\n".join(lines)
