"""The services of render.yaml and compose.yaml: their commands and variables, run on this machine.

A service runs in a copy of the files that the image has, with the image's variables and its own and
no others, so that a variable or a file that is missing there is missing here.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import yaml

from nexus.dev.embedded import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
IMAGE_VARIABLES = {
    name: value
    for line in re.findall(r"^ENV (.*)$", DOCKERFILE, re.M)
    for name, value in (pair.split("=", 1) for pair in line.split())
    if name != "PATH"
}
IMAGE_COMMAND = shlex.join(json.loads(re.search(r"^CMD (\[.*\])$", DOCKERFILE, re.M).group(1)))
# Render sets these variables in every web service.
RENDER_VARIABLES = {"PORT": "10000", "RENDER_EXTERNAL_HOSTNAME": "nexus-api.onrender.com"}
# What docs/deployment.md tells the operator to write into .env.
DOTENV = {
    "DOMAIN": "movies.example.org",
    "POSTGRES_PASSWORD": secrets.token_hex(24),
    "SECRET_KEY": secrets.token_urlsafe(64),
    "JWT_SIGNING_KEYS": secrets.token_urlsafe(48),
}


@dataclass(frozen=True)
class Service:
    #: "web", "worker" or "job", which ends by itself.
    kind: str
    command: str
    variables: dict[str, str]

    @contextmanager
    def run(self, folder, *arguments):
        """Run the command during the block, and yield its process."""
        programs = Path(sys.executable).parent
        process = subprocess.Popen(
            [*shlex.split(self.command), *arguments],
            cwd=folder,
            env={
                "PATH": f"{programs}:{os.environ['PATH']}",
                **IMAGE_VARIABLES,
                **self.variables,
            },
            stdin=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=60)


def copy_image_files(folder):
    """Copy the files that .dockerignore lets into the image, and run the Dockerfile's last RUN."""
    kept, excluded = read_dockerignore()
    for name in kept:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name,
                folder / name,
                ignore=lambda parent, names: [
                    entry
                    for entry in names
                    if any(
                        fnmatch(str((Path(parent) / entry).relative_to(ROOT)), pattern)
                        for pattern in excluded
                    )
                ],
            )
        else:
            shutil.copy(ROOT / name, folder / name)
    command = re.findall(r"^RUN ((?:.*\\\n)*.*)$", DOCKERFILE, re.M)[-1]
    programs = Path(sys.executable).parent
    variables = {"PATH": f"{programs}:{os.environ['PATH']}", **IMAGE_VARIABLES}
    subprocess.run(["bash", "-ec", command], cwd=folder, env=variables, check=True)


def read_dockerignore():
    """Return the names that are excepted from `*`, and the patterns that exclude parts of them."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"
    kept = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    # fnmatch's `*` matches slashes, too.
    excluded = [pattern.replace("**/", "*/") for pattern in patterns[1:] if pattern[0] != "!"]
    return kept, excluded


def read_render_services(*, database_url, cache_url):
    """Return the services of render.yaml by name; no optional value has been entered."""
    blueprint = yaml.safe_load((ROOT / "render.yaml").read_text("utf-8"))
    databases = {entry["name"] for entry in blueprint["databases"]}
    entries = {entry["name"]: entry for entry in blueprint["services"]}
    groups = {entry["name"]: entry["envVars"] for entry in blueprint.get("envVarGroups", [])}
    generated = {}
    services = {}

    def resolve(owner, variable):
        """Return the value, or None if an operator has to enter it."""
        match variable:
            case {"value": value}:
                return value
            case {"generateValue": True, "key": key}:
                new = base64.b64encode(secrets.token_bytes(32)).decode()
                return generated.setdefault((owner, key), new)
            case {"sync": False}:
                return None
            case {"fromDatabase": {"name": name, "property": "connectionString"}}:
                assert name in databases
                return database_url
            case {"fromService": {"type": "keyvalue", "name": name, "property": _}}:
                assert entries[name]["type"] == "keyvalue"
                return cache_url
            case {"fromService": {"type": kind, "name": name, "envVarKey": key}}:
                assert entries[name]["type"] == kind
                return resolve_all(name, entries[name]["envVars"])[key]
        raise AssertionError(f"unknown kind of variable: {variable}")

    def resolve_all(owner, variables):
        values = {}
        for variable in variables:
            if "fromGroup" in variable:
                group = variable["fromGroup"]
                values |= resolve_all(group, groups[group])
            else:
                values[variable["key"]] = resolve(owner, variable)
        return values

    for name, entry in entries.items():
        if entry["type"] == "keyvalue":
            continue
        values = resolve_all(name, entry["envVars"])
        variables = {key: value for key, value in values.items() if value is not None}
        if entry["type"] == "web":
            variables |= RENDER_VARIABLES
        kind = {"web": "web", "worker": "worker", "cron": "job"}[entry["type"]]
        services[name] = Service(kind, entry.get("dockerCommand", IMAGE_COMMAND), variables)
        if "preDeployCommand" in entry:
            services[f"{name} (pre-deploy)"] = Service("job", entry["preDeployCommand"], variables)
    return services


def read_compose():
    """Return compose.yaml with the values of .env, as `docker compose config` shows it."""
    text = (ROOT / "compose.yaml").read_text("utf-8")
    text = re.sub(r"\$\{(\w+):\?\}", lambda match: DOTENV[match.group(1)], text)
    assert "${" not in text
    compose = yaml.safe_load(text)
    for entry in compose["services"].values():
        entry["environment"] = {
            name: DOTENV.get(name) if value is None else value
            for name, value in entry.get("environment", {}).items()
            if value is not None or name in DOTENV
        }
    return compose


def read_compose_services(*, database_url, cache_url):
    """Return the services of compose.yaml that the image runs, on the servers of this machine."""
    entries = read_compose()["services"]
    owner = entries["postgres"]["environment"]
    addresses = {
        "postgres://{POSTGRES_USER}:{POSTGRES_PASSWORD}@postgres:5432/{POSTGRES_DB}".format(
            **owner
        ): database_url,
        "redis://valkey:6379/0": cache_url,
    }
    services = {}
    for name, entry in entries.items():
        if entry["image"] != "nexus":
            continue
        variables = {
            key: addresses[value] if key in {"DATABASE_URL", "REDIS_URL"} else value
            for key, value in entry["environment"].items()
        }
        command = entry.get("command", IMAGE_COMMAND)
        kind = {"web": "web", "worker": "worker"}.get(name, "job")
        services[name] = Service(kind, command, variables)
    return services


def get_public_host(web):
    """Return a host name under which clients reach this web service."""
    return web.variables.get("RENDER_EXTERNAL_HOSTNAME") or web.variables["ALLOWED_HOSTS"]


def list_variable_names(file):
    """Return the names of the variables that the web service and the worker of a file may have."""
    content = yaml.safe_load((ROOT / file).read_text("utf-8"))
    if file == "compose.yaml":
        return {name: set(content["services"][name]["environment"]) for name in ("web", "worker")}
    groups = {
        group["name"]: {variable["key"] for variable in group["envVars"]}
        for group in content["envVarGroups"]
    }
    names = {}
    for entry in content["services"]:
        if entry["type"] in {"web", "worker"}:
            names[entry["type"]] = set()
            for variable in entry["envVars"]:
                names[entry["type"]] |= groups.get(variable.get("fromGroup"), set())
                names[entry["type"]] |= {variable["key"]} if "key" in variable else set()
    return names
