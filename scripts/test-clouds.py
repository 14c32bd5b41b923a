#!/usr/bin/env python3
"""Backups in clouds as `cgv` makes them: S3 as the Python package `moto` speaks it, Azure as the npm package `azurite` does.

    python scripts/test-clouds.py target/debug/cgv [node_modules/.bin/azurite-blob]

Starts each service on a port of its own, and has the command line make, check, restore and remove backups there, first one after
the other, then several writers at once. What is restored has to be what was backed up, row for row. Needs the packages
`moto[server,s3]` and, for Azure, `azure-storage-blob`.
"""

import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from moto.server import ThreadedMotoServer

# What one command may take at most, on a machine that does much else.
TIMEOUT_SECONDS = 60
DIMENSION = 8
# Base64, as Azure has its keys.
SECRET = "bm90IGEgc2VjcmV0IG9mIGFueWJvZHk="


def rows(first, count):
    """Lines as `cgv import` takes them."""
    for id in range(first, first + count):
        vector = [((id * 7919 + axis * 104729) % 1000) / 1000 - 0.5 for axis in range(DIMENSION)]
        yield json.dumps({"node_id": id, "vector": vector, "path": f"src/f{id}.rs", "name": f"f{id}"})


class Cgv:
    """The command line, in a folder, with a place for backups."""

    def __init__(self, binary, folder, environment):
        self.binary, self.folder = Path(binary).resolve(), folder
        self.environment = {**os.environ, **environment}

    def start(self, *words):
        command = [self.binary, *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=pipe, stderr=pipe, text=True)

    def run(self, *words, code=0):
        child = self.start(*words)
        out, err = child.communicate(timeout=TIMEOUT_SECONDS)
        assert child.returncode == code, (words, child.returncode, out, err)
        return out if code == 0 else err

    def json(self, *words):
        return json.loads(self.run(*words, "--json"))

    def exported(self, store):
        """The rows of a store, in order."""
        lines = [json.loads(line) for line in self.run("export", "--store", store).splitlines()]
        return sorted(lines, key=lambda row: row["node_id"])

    def backups(self):
        return {backup["backup_id"] for backup in self.json("backup", "list", "--store", "s")["backups"]}


def add(cgv, first, count, store="s"):
    (cgv.folder / "rows.jsonl").write_text("\n".join(rows(first, count)) + "\n")
    cgv.run("import", "rows.jsonl", "--store", store)


def drill(cgv, missing):
    """Backups, the archive and restores; then in a bucket that is missing."""
    add(cgv, 0, 300)
    first = cgv.json("backup", "create", "--store", "s")
    before = cgv.exported("s")
    assert len(before) == 300

    # The second uploads only what is new.
    add(cgv, 300, 3)
    second = cgv.json("backup", "create", "--store", "s")
    assert second["new_bytes"] < first["new_bytes"], (first, second)
    cgv.run("backup", "verify", "--store", "s")
    cgv.run("backup", "verify", "--restore", "--store", "s")
    assert cgv.backups() == {first["backup_id"], second["backup_id"]}

    # A commit that no backup has comes from the archive.
    cgv.run("backup", "archive", "on", "--store", "s")
    cgv.run("backup", "create", "--store", "s")
    add(cgv, 400, 5)
    cgv.run("backup", "archive", "now", "--store", "s")
    after = cgv.exported("s")
    assert len(after) == 308

    # Lost, and made again, in a new folder each time.
    cgv.run("restore", first["backup_id"], "--store", "again")
    assert cgv.exported("again") == before
    cgv.run("restore", "--to-latest", "--store", "latest")
    assert cgv.exported("latest") == after

    # Who make backups at once all have one, and all are whole.
    already = cgv.backups()
    children = [cgv.start("backup", "create", "--store", store) for store in ("s", "again", "latest")]
    for child in children:
        out, err = child.communicate(timeout=TIMEOUT_SECONDS)
        assert child.returncode == 0, (out, err)
    made = cgv.backups() - already
    assert len(made) == 3, made
    cgv.run("backup", "verify", "--store", "latest")

    # What is deleted is gone, and nothing else is hurt.
    cgv.run("backup", "delete", second["backup_id"], "--store", "s")
    assert cgv.backups() == (already | made) - {second["backup_id"]}
    cgv.run("backup", "prune", "--last", "1", "--store", "s")
    cgv.run("backup", "verify", "--store", "s")

    # What is wrong is said, without credentials, and what is there stays.
    cgv.environment["CGV_BACKUPS"] = missing
    said = cgv.run("backup", "create", "--store", "s", code=1)
    assert missing in said and SECRET not in said, said


def s3(binary):
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    service = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    service.start()
    host, port = service.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/bucket", method="PUT"))
    environment = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "CGV_BACKUPS": "s3://bucket/team/project",
    }
    with tempfile.TemporaryDirectory() as folder:
        drill(Cgv(binary, Path(folder), environment), "s3://no-such-bucket/x")
    service.stop()


def azure(binary, azurite):
    from azure.storage.blob import BlobServiceClient

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}/account"
    environment = {
        "AZURE_STORAGE_ACCOUNT_NAME": "account",
        "AZURE_STORAGE_ACCOUNT_KEY": SECRET,
        "AZURE_STORAGE_ENDPOINT": endpoint,
        "AZURE_STORAGE_ALLOW_HTTP": "true",
        "AZURE_ALLOW_HTTP": "true",
        "CGV_BACKUPS": "az://container/team/project",
    }
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--silent", "--disableTelemetry", "--skipApiVersionCheck"]
        command = [azurite, *flags, "--blobPort", str(port), "--location", f"{folder}/service"]
        accounts = {**os.environ, "AZURITE_ACCOUNTS": f"account:{SECRET}"}
        service = subprocess.Popen(command, env=accounts)
        try:
            client = BlobServiceClient(endpoint, credential={"account_name": "account", "account_key": SECRET})
            client.create_container("container")
            drill(Cgv(binary, Path(folder), environment), "az://no-such-container/x")
        finally:
            service.kill()
            service.wait()


def main(binary, azurite=None):
    s3(binary)
    print("backups in S3: made, verified, restored, by several at once")
    if azurite:
        azure(binary, azurite)
        print("backups in Azure: the same")


if __name__ == "__main__":
    main(*sys.argv[1:])
