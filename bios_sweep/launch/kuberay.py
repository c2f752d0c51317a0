"""A RayJob manifest for the KubeRay operator: an own Ray cluster for the study, gone when it ends.

Fields as in https://docs.ray.io/en/latest/cluster/kubernetes/references/api.html (ray.io/v1, KubeRay 1.6).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import yaml  # type: ignore[import-untyped]  # omegaconf brings it, without stubs

from bios_sweep.checks import line, matching, one_of, or_null, truth, whole
from bios_sweep.errors import ConfigError
from bios_sweep.launch import job
from bios_sweep.launch.job import JobOptions, StudyCommand, each, form, named, option

AUTH_SINCE = (2, 52)  # https://docs.ray.io/en/latest/cluster/kubernetes/user-guides/kuberay-auth.html
GRACE_SECONDS = 60  # chosen, not measured: time to leave after a notice; Kubernetes' own default is 30
HEAD_PORTS = {"gcs-server": 6379, "dashboard": 8265}
PLAIN = re.compile(r"[A-Za-z/][\w./-]*")
ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "RAY_USAGE_STATS_ENABLED": "0"}

# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names
DNS_NAME = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
NAME = form(DNS_NAME, "a name of small letters, digits, . and -")
MEMORY = form(job.QUANTITY, "a quantity such as 32Gi")
SECRET = form(
    rf"{DNS_NAME}/[A-Za-z0-9_.-]+",
    "SECRET/KEY: the name of a Kubernetes secret and a key in it, never the value",
)
TAINT = form(r"[A-Za-z0-9][\w./-]*", "a taint's key, such as nvidia.com/gpu")


def _image(key: str, value: Any) -> str:
    if value is None:
        raise ConfigError(
            f"{key}: missing; give an image with bios-sweep[run] and Ray installed, such as "
            f"{key}=registry.example.com/bios-sweep:1"
        )
    return matching(key, value, r"[A-Za-z0-9][A-Za-z0-9_./:@-]*", "an image's name")


@dataclass(frozen=True, kw_only=True)
class KubeRayOptions(JobOptions):
    """conf/submit/kuberay.yaml, checked. The comments there and docs/submit.md say what each is for."""

    group = "kuberay"
    image: str = option(_image)
    ray_version: str = option(form(r"\d+\.\d+\.\d+", "a version such as 2.60.0"))
    namespace: str | None = option(or_null(NAME))
    service_account: str | None = option(or_null(NAME))
    replicas: int = option(whole)
    gpus: int = option(partial(whole, least=0))
    cpus: int = option(whole)
    memory: str = option(MEMORY)
    head_cpus: int = option(whole)
    head_memory: str = option(MEMORY)
    claims: Mapping[str, str] = option(named(form(job.PATH, "an absolute path such as /mnt/bios"), NAME))
    environment: Mapping[str, str] = option(job.environment)
    secrets: Mapping[str, str] = option(named(SECRET, form(job.VARIABLE, "a variable's name")))
    image_pull_secrets: tuple[str, ...] = option(each(NAME))
    node_selector: Mapping[str, str] = option(named(line))
    tolerations: tuple[str, ...] = option(each(TAINT))
    auth: bool = option(truth)
    submission_mode: str = option(partial(one_of, allowed=("K8sJobMode", "HTTPMode")))
    backoff_limit: int = option(partial(whole, least=0))
    deadline_seconds: int | None = option(or_null(whole))
    ttl_seconds: int = option(partial(whole, least=0))

    def __post_init__(self) -> None:
        if self.auth and tuple(map(int, self.ray_version.split(".")))[:2] < AUTH_SINCE:
            raise ConfigError(
                f"submit.ray_version: {self.ray_version} has no tokens; use 2.52.0 or newer, or "
                "submit.auth=false"
            )


def rayjob_manifest(command: StudyCommand, options: KubeRayOptions) -> str:
    """The manifest as YAML, for `kubectl create`.

    Raises:
        ConfigError: no trial fits on a worker, or the workspace would be lost with the cluster.
    """
    command.require_fit(gpus=options.gpus, cpus=options.cpus, memory=job.gibibytes(options.memory))
    _require_kept(command.workspace, options.claims)
    metadata = {
        "name": command.name,
        "namespace": options.namespace,
        "labels": {"app.kubernetes.io/managed-by": "bios-sweep"},
    }
    spec = {
        "entrypoint": command.shell,
        "submissionMode": options.submission_mode,
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": options.ttl_seconds,
        "backoffLimit": options.backoff_limit,
        "activeDeadlineSeconds": options.deadline_seconds,
        "rayClusterSpec": _cluster(options),
    }
    manifest = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": _without_unset(metadata),
        "spec": _without_unset(spec),
    }
    told = "# Written by `bios-sweep submit --to kuberay`; docs/submit.md explains every field.\n"
    return told + str(yaml.dump(manifest, Dumper=_Quoting, sort_keys=False, width=10**6))


def _without_unset(values: Mapping[str, Any]) -> dict[str, Any]:
    """What has a value; an empty list or mapping is none."""
    return {name: value for name, value in values.items() if value not in (None, [], {})}


def _require_kept(workspace: str, claims: Mapping[str, str]) -> None:
    place = PurePosixPath(workspace)
    if ".." in place.parts or not any(place.is_relative_to(path) for path in claims.values()):
        raise ConfigError(
            f"workspace: {workspace} lies on no claim and would go with the pods; give a volume such as "
            "submit.claims={bios-data: /mnt/bios} and workspace=/mnt/bios/runs"
        )


def _cluster(options: KubeRayOptions) -> dict[str, Any]:
    ports = [{"name": name, "containerPort": port} for name, port in HEAD_PORTS.items()]
    head = _pod("ray-head", options, options.head_cpus, 0, options.head_memory, ports=ports)
    worker = _pod("ray-worker", options, options.cpus, options.gpus, options.memory)
    placing = {
        "nodeSelector": options.node_selector,
        "tolerations": [{"key": key, "operator": "Exists"} for key in options.tolerations],
    }
    group = {
        "groupName": "trials",
        **dict.fromkeys(("replicas", "minReplicas", "maxReplicas"), options.replicas),
        "rayStartParams": {},
        "template": {"spec": worker | _without_unset(placing)},
    }
    return {
        "rayVersion": options.ray_version,
        **({"authOptions": {"mode": "token"}} if options.auth else {}),
        "headGroupSpec": {
            # no trial on the head: it holds the driver, and losing it costs more than losing a worker
            "rayStartParams": {"num-cpus": "0"},
            "template": {"spec": head},
        },
        "workerGroupSpecs": [group],
    }


def _pod(
    name: str, options: KubeRayOptions, cpus: int, gpus: int, memory: str, **more: Any
) -> dict[str, Any]:
    """Limits equal requests: a pod that may take more than it asked for is the first to be evicted.

    more: fields of its container.
    """
    amounts = {"cpu": str(cpus), "memory": memory, **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    volumes = {f"claim-{place}": claim for place, claim in enumerate(options.claims)}
    mounts = zip(volumes, options.claims.values(), strict=True)
    container = {
        "name": name,
        "image": options.image,
        "env": _variables(options),
        "resources": {"requests": amounts, "limits": amounts},
        "volumeMounts": [{"name": volume, "mountPath": path} for volume, path in mounts],
        **more,
    }
    pod = {
        "containers": [_without_unset(container)],
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "serviceAccountName": options.service_account,
        "imagePullSecrets": [{"name": secret} for secret in options.image_pull_secrets],
        "volumes": [
            {"name": volume, "persistentVolumeClaim": {"claimName": claim}}
            for volume, claim in volumes.items()
        ],
    }
    return _without_unset(pod)


def _variables(options: KubeRayOptions) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "value": value} for name, value in {**ENVIRONMENT, **options.environment}.items()
    ]
    for name, place in options.secrets.items():
        secret, _, key = place.partition("/")
        found.append({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
    return found


class _Quoting(yaml.SafeDumper):  # type: ignore[misc]  # yaml has no stubs
    """Quotes every text that is more than a plain word.

    PyYAML writes 1e-4 and 0o7 bare, since to YAML 1.1 they are texts; Kubernetes reads them as numbers.
    """

    def ignore_aliases(self, data: Any) -> bool:
        """An anchor would be valid and hard to read."""
        return True


def _represent_text(dumper: _Quoting, text: str) -> Any:
    style = None if PLAIN.fullmatch(text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Quoting.add_representer(str, _represent_text)
