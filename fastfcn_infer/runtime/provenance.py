"""What labels depend on, except the picture and its procedure: the model and what runs it."""

import hashlib
from collections.abc import Mapping

from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.runtime.backend import RuntimeFacts
from fastfcn_infer.system.record import to_json
from fastfcn_infer.system.version import __version__


def provenance(artifact: Artifact, facts: RuntimeFacts) -> Mapping[str, str]:
    """Return model, files, classes, runtime and versions, for every result of an opened model."""
    source = {} if artifact.manifest is None else {"checkpoint": artifact.manifest.source.sha256}
    return {
        "model": artifact.model.name,
        "model_sha256": artifact.fingerprint,
        "classes_sha256": hashlib.sha256(to_json(artifact.model.classes).encode()).hexdigest(),
        "precision": facts.precision,
        **source,
        "dialect": artifact.model.network.dialect,
        "backend": facts.backend,
        "provider": facts.provider,
        "device": facts.device,
        "fastfcn-infer": __version__,
        **facts.versions,
    }
