#!/usr/bin/env python3
"""`cgv mcp` as a client of another make sees it: the Python package `mcp` (2.3 or newer, below 3).

    python scripts/test-mcp.py target/debug/cgv

Makes a project of its own in a temporary folder, and goes through every tool, once by the `initialize` handshake
and once by the protocol of 2026-07-28. The client checks each structured answer against the tool's schema.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from mcp import Client, StdioServerParameters

FILES = {
    "src/retry.rs": """/// Waits longer after each failure.
pub fn retry_with_backoff(attempts: u32) -> bool {
    attempts > 0
}
""",
    "tools/report.py": '''class Report:
    """A table for people."""

    def render_report(self, rows):
        return "\\n".join(rows)
''',
}
TOOLS = {"search_code", "similar_code", "get_node", "reindex", "stats"}
# What a run may take at most, on a machine that does much else.
TIMEOUT_SECONDS = 60


async def call(client, tool, arguments=None, **options):
    """The structured result of a tool that has to do what it is asked."""
    result = await client.call_tool(tool, arguments or {}, **options)
    assert not result.is_error, (tool, result)
    assert result.content[0].type == "text" and result.content[0].text, (tool, result)
    return result.structured_content


async def refusal(client, tool, arguments):
    """What a tool says that has to refuse."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, (tool, result)
    return result.content[0].text


async def names(client, query):
    found = await call(client, "search_code", {"query": query})
    return [match["name"] for match in found["matches"]]


async def go_through(cgv, root, mode):
    server = StdioServerParameters(command=cgv, args=["mcp", "--root", str(root)])
    options = {"mode": mode, "read_timeout_seconds": TIMEOUT_SECONDS}
    async with Client(server, **options) as client, Client(server, **options) as other:
        assert client.server_info.name == "codegraph-vector", client.server_info
        assert "search_code" in client.instructions
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == TOOLS, tools
        for tool in tools:
            assert tool.annotations.read_only_hint == (tool.name != "reindex"), tool

        assert "reindex" in await refusal(client, "search_code", {"query": "retry"})
        progress = []

        async def on_progress(done, total, message):
            progress.append((done, total, message))

        done = await call(client, "reindex", progress_callback=on_progress)
        assert (done["files"], done["files_indexed"]) == (2, 2), done
        assert progress and progress[-1][0] == 2, progress

        found = await call(client, "search_code", {"query": "retry with backoff", "limit": 5, "language": "rust"})
        match = next(match for match in found["matches"] if match["name"] == "retry_with_backoff")
        assert (match["path"], match["start_line"], match["kind"]) == ("src/retry.rs", 2, "function"), match
        shown = await call(client, "get_node", {"node_id": match["node_id"]})
        assert "attempts > 0" in shown["source"], shown
        like = await call(client, "similar_code", {"path": "src/retry.rs", "line": 3})
        assert all(match["node_id"] != shown["node_id"] for match in like["matches"]), like
        stats = await call(client, "stats")
        assert (stats["files"], stats["nodes"]) == (2, done["nodes"]), stats

        # The other window sees what this one indexes.
        assert "retry_with_backoff" in await names(other, "retry with backoff")
        (root / "src/parse.rs").write_text("pub fn parse_numbers(text: &str) -> Vec<u32> {\n    vec![]\n}\n")
        assert (await call(client, "reindex"))["files_indexed"] == 1
        assert "parse_numbers" in await names(other, "parse numbers")

        for tool, arguments, word in [
            ("search_code", {}, "query"),
            ("search_code", {"query": "x", "limit": 1000}, "limit"),
            ("get_node", {"path": "../secret", "line": 1}, ".."),
            ("get_node", {"node_id": "7"}, "no definition"),
        ]:
            said = await refusal(client, tool, arguments)
            assert word in said, (tool, arguments, said)
        try:
            await client.call_tool("drop_table", {})
            raise AssertionError("a tool that does not exist was called")
        except Exception as error:
            assert "tool not found" in str(error), error
        print(f"ok: {mode}, protocol {client.protocol_version}")


def main():
    cgv = str(Path(sys.argv[1]).resolve())
    for mode in ["legacy", "auto"]:
        with tempfile.TemporaryDirectory() as folder:
            for path, text in FILES.items():
                path = Path(folder, path)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            asyncio.run(go_through(cgv, Path(folder), mode))


if __name__ == "__main__":
    main()
