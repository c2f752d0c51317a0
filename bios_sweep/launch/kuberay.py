"""A RayJob manifest for the KubeRay operator: an own Ray cluster for the study, gone when it ends.

Fields as in https://docs.ray.io/en/latest/cluster/kubernetes/references/api.html (ray.io/v1, KubeRay 1.6).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from typing import Any

import yaml  # type: ignore[import-untyped]  # omegaconf brings it, without stubs

from bios_sweep import checks
from bios_sweep.errors import ConfigError
from bios_sweep.launch import job_values
from bios_sweep.launch.study_command import StudyCommand

MODES = ("K8sJobMode", "HTTPMode")
AUTH_SINCE = (2, 52)  # https://docs.ray.io/en/latest/cluster/kubernetes/user-guides/kuberay-auth.html
GRACE_SECONDS = 60  # chosen, not measured: time to leave after a notice; Kubernetes' own default is 30
HEAD_PORTS = {"gcs-server": 6379, "dashboard": 8265}
PLAIN = re.compile(r"[A-Za-z/][\w./-]*")
ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "RAY_USAGE_STATS_ENABLED": "0"}


@dataclass(frozen=True, kw_only=True)
class KubeRayOptions:
    """conf/submit/kuberay.yaml, checked. The comments there and docs/submit.md say what each is for."""

    image: str
    ray_version: str
    namespace: str | None
    service_account: str | None
    replicas: int
    gpus: int
    cpus: int
    memory: str
    head_cpus: int
    head_memory: str
    claims: dict[str, str]
    environment: dict[str, str]
    secrets: dict[str, str]
    image_pull_secrets: tuple[str, ...]
    node_selector: dict[str, str]
    tolerations: tuple[str, ...]
    auth: bool
    submission_mode: str
    backoff_limit: int
    deadline_seconds: int | None
    ttl_seconds: int

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> KubeRayOptions:
        """The options of a composed group.

        Raises:
            ConfigError: a value is not allowed; the message names its key.
        """
        given = job_values.fields("kuberay", values, tuple(field.name for field in fields(cls)))
        given["environment"] = job_values.environment("submit.environment", given["environment"])
        for name in ("claims", "secrets", "node_selector"):
            given[name] = checks.mapping(f"submit.{name}", given[name])
        for name in ("image_pull_secrets", "tolerations"):
            given[name] = checks.listed(f"submit.{name}", given[name])
        return cls(**given)

    def __post_init__(self) -> None:
        if self.image is None:
            raise ConfigError(
                "submit.image: missing; give an image with bios-sweep[run] and Ray installed, such as "
                "submit.image=registry.example.com/bios-sweep:1"
            )
        checks.matching("submit.image", self.image, r"[A-Za-z0-9][A-Za-z0-9_./:@-]*", "an image's name")
        checks.matching("submit.ray_version", self.ray_version, r"\d+\.\d+\.\d+", "a version such as 2.60.0")
        checks.truth("submit.auth", self.auth)
        if self.auth and tuple(map(int, self.ray_version.split(".")))[:2] < AUTH_SINCE:
            raise ConfigError(
                f"submit.ray_version: {self.ray_version} has no tokens; use 2.52.0 or newer, or "
                "submit.auth=false"
            )
        checks.one_of("submit.submission_mode", self.submission_mode, MODES)
        self._check_numbers()
        self._check_names()

    def _check_numbers(self) -> None:
        for name, least in (
            ("replicas", 1),
            ("gpus", 0),
            ("cpus", 1),
            ("head_cpus", 1),
            ("backoff_limit", 0),
            ("ttl_seconds", 0),
        ):
            checks.whole(f"submit.{name}", getattr(self, name), least)
        if self.deadline_seconds is not None:
            checks.whole("submit.deadline_seconds", self.deadline_seconds, 1)
        for name in ("memory", "head_memory"):
            checks.matching(
                f"submit.{name}", getattr(self, name), job_values.QUANTITY, "a quantity such as 32Gi"
            )

    def _check_names(self) -> None:
        names = [("namespace", self.namespace), ("service_account", self.service_account)]
        names += [
            (f"image_pull_secrets[{place}]", name) for place, name in enumerate(self.image_pull_secrets)
        ]
        names += [(f"claims.{name}", name) for name in self.claims]
        for key, name in names:
            if name is not None:
                checks.matching(
                    f"submit.{key}",
                    name,
                    job_values.KUBERNETES_NAME,
                    "a name of small letters, digits, . and -",
                )
        for name, path in self.claims.items():
            checks.matching(
                f"submit.claims.{name}", path, job_values.PATH, "an absolute path such as /mnt/bios"
            )
        for name, secret in self.secrets.items():
            checks.matching(f"submit.secrets.{name}", name, job_values.VARIABLE, "a variable's name")
            checks.matching(
                f"submit.secrets.{name}",
                secret,
                rf"{job_values.KUBERNETES_NAME}/[A-Za-z0-9_.-]+",
                "SECRET/KEY: the name of a Kubernetes secret and a key in it, never the value",
            )
        for name, value in self.node_selector.items():
            checks.line(f"submit.node_selector.{name}", value)
        for place, name in enumerate(self.tolerations):
            checks.matching(
                f"submit.tolerations[{place}]",
                name,
                r"[A-Za-z0-9][\w./-]*",
                "a taint's key, such as nvidia.com/gpu",
            )


def rayjob_manifest(command: StudyCommand, options: KubeRayOptions) -> str:
    """The manifest as YAML, for `kubectl create`.

    Raises:
        ConfigError: no trial fits on a worker, or the workspace would be lost with the cluster.
    """
    command.require_fit(
        cpus=options.cpus,
        gpus=options.gpus,
        memory=job_values.gibibytes(options.memory),
        keys=("submit.cpus", "submit.gpus"),
    )
    _require_kept(command.workspace, options.claims)
    manifest = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {
            "name": command.name,
            **({"namespace": options.namespace} if options.namespace else {}),
            "labels": {"app.kubernetes.io/managed-by": "bios-sweep"},
        },
        "spec": {
            "entrypoint": command.shell,
            "submissionMode": options.submission_mode,
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": options.ttl_seconds,
            "backoffLimit": options.backoff_limit,
            **({"activeDeadlineSeconds": options.deadline_seconds} if options.deadline_seconds else {}),
            "rayClusterSpec": _cluster(options),
        },
    }
    told = "# Written by `bios-sweep submit --to kuberay`; docs/submit.md explains every field.\n"
    return told + str(yaml.dump(manifest, Dumper=_Quoting, sort_keys=False, width=10**6))


def _require_kept(workspace: str, claims: Mapping[str, str]) -> None:
    place = PurePosixPath(workspace)
    if ".." in place.parts or not any(place.is_relative_to(path) for path in claims.values()):
        raise ConfigError(
            f"workspace: {workspace} lies on no claim and would go with the pods; give a volume such as "
            "submit.claims={bios-data: /mnt/bios} and workspace=/mnt/bios/runs"
        )


def _cluster(options: KubeRayOptions) -> dict[str, Any]:
    head = _pod("ray-head", options.head_cpus, 0, options.head_memory, options)
    head["containers"][0]["ports"] = [
        {"name": name, "containerPort": port} for name, port in HEAD_PORTS.items()
    ]
    worker = _pod("ray-worker", options.cpus, options.gpus, options.memory, options)
    placing: dict[str, Any] = {}
    if options.node_selector:
        placing["nodeSelector"] = dict(options.node_selector)
    if options.tolerations:
        placing["tolerations"] = [{"key": key, "operator": "Exists"} for key in options.tolerations]
    return {
        "rayVersion": options.ray_version,
        **({"authOptions": {"mode": "token"}} if options.auth else {}),
        "headGroupSpec": {
            # no trial on the head: it holds the driver, and losing it costs more than losing a worker
            "rayStartParams": {"num-cpus": "0"},
            "template": {"spec": head},
        },
        "workerGroupSpecs": [
            {
                "groupName": "trials",
                "replicas": options.replicas,
                "minReplicas": options.replicas,
                "maxReplicas": options.replicas,
                "rayStartParams": {},
                "template": {"spec": {**worker, **placing}},
            }
        ],
    }


def _pod(name: str, cpus: int, gpus: int, memory: str, options: KubeRayOptions) -> dict[str, Any]:
    """Limits equal requests: a pod that may take more than it asked for is the first to be evicted."""
    amounts = {"cpu": str(cpus), "memory": memory, **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    container: dict[str, Any] = {
        "name": name,
        "image": options.image,
        "env": _variables(options),
        "resources": {"requests": amounts, "limits": dict(amounts)},
    }
    pod: dict[str, Any] = {"containers": [container], "terminationGracePeriodSeconds": GRACE_SECONDS}
    if options.service_account:
        pod["serviceAccountName"] = options.service_account
    if options.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": secret} for secret in options.image_pull_secrets]
    if options.claims:
        container["volumeMounts"] = [
            {"name": f"claim-{place}", "mountPath": path}
            for place, path in enumerate(options.claims.values())
        ]
        pod["volumes"] = [
            {"name": f"claim-{place}", "persistentVolumeClaim": {"claimName": claim}}
            for place, claim in enumerate(options.claims)
        ]
    return pod


def _variables(options: KubeRayOptions) -> list[dict[str, Any]]:
    plain = [{"name": name, "value": value} for name, value in (ENVIRONMENT | options.environment).items()]
    secret = []
    for name, place in options.secrets.items():
        of, _, key = place.partition("/")
        secret.append({"name": name, "valueFrom": {"secretKeyRef": {"name": of, "key": key}}})
    return [*plain, *secret]


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
