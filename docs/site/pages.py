"""Which pages of the site are not files of docs/? A hook of mkdocs.

The README is the first page. A file of the clone that a page links to comes into the site beside it: no link leaves.
The reference of the commands is what typer knows, that of Python what the rooms of lsr export.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

ROOT = Path(__file__).resolve().parent.parent.parent
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)#\s:]+)((?:#[^)\s]*)?\))")
FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
HOME = "index.md"
SHIM = "https://unpkg.com/iframe-worker/shim"
FOREIGN = re.compile(
    r'<(?:script|img|iframe|link rel="(?:stylesheet|preload|icon)")[^>]*\b(?:src|href)="(?:https?:)?//'
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of the Python reference into the navigation, where it says so."""
    for entry in config.nav or ():
        if "Python" in entry:
            entry["Python"] = [*entry["Python"], *({room: _reference_path(room)} for room in _rooms())]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made, and what is linked to."""
    for name, text in _made():
        files.append(File.generated(config, name, content=text))
    waiting = ["README.md", *(f"docs/{file.src_uri}" for file in files.documentation_pages() if not file.generated_by)]
    seen: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in seen or not (ROOT / path).is_file():
            continue
        seen.add(path)
        if files.get_file_from_path(_place(path)) is None:
            files.append(_file(path, config))
        if path.endswith(".md"):
            waiting += [_target(path, link[2]) for link in LINK.finditer((ROOT / path).read_text())]
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to where files lie in the site."""
    path = _source(page.file.src_uri)
    if path is None:
        return markdown
    parts = FENCED.split(markdown)
    return "".join(
        part if part.startswith("```") else LINK.sub(lambda link: _moved(path, link), part) for part in parts
    )


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Without the colons that announce a literal block in a docstring."""
    return html.replace("<p>::</p>\n", "")


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Keep a page from loading anything from another host."""
    return _at_home(output, page.url)


def on_post_template(output_content: str, template_name: str, config: MkDocsConfig) -> str:
    """The same for pages of the theme."""
    return _at_home(output_content, template_name)


def _at_home(output: str, url: str) -> str:
    """A page with the one script that the theme takes from another host taken from here.

    Raises:
        PluginError: something else comes from another host.
    """
    output = output.replace(SHIM, get_relative_url("site/search_in_files.js", url))
    if found := FOREIGN.search(output):
        raise PluginError(f"{url} loads from another host: {found[0]}")
    return output


def _made() -> Iterator[tuple[str, str]]:
    yield "cli.md", commands_page()
    for room in _rooms():
        yield _reference_path(room), _reference(room)


def _file(path: str, config: MkDocsConfig) -> File:
    if path.endswith(".md"):
        return File.generated(config, _place(path), content=(ROOT / path).read_text())
    return File.generated(config, _place(path), abs_src_path=str(ROOT / path))


def _place(path: str) -> str:
    """Where a file of the clone lies in the site."""
    return HOME if path == "README.md" else path.removeprefix("docs/")


def _source(place: str) -> str | None:
    """The file of the clone that lies at a place of the site; None for pages that are made."""
    candidates = ("README.md",) if place == HOME else (f"docs/{place}", place)
    return next((path for path in candidates if (ROOT / path).is_file()), None)


def _target(path: str, link: str) -> str:
    """The file of the clone that a link of another one leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), link))


def _moved(path: str, link: re.Match[str]) -> str:
    place = posixpath.relpath(_place(_target(path, link[2])), posixpath.dirname(_place(path)) or ".")
    return f"{link[1]}{place}{link[3]}"


# The reference of Python


def _rooms() -> list[str]:
    """Packages and modules of lsr that say what they export, the face first."""
    sources = [ROOT / "lsr" / "__init__.py", *sorted((ROOT / "lsr").glob("*/__init__.py")), ROOT / "lsr" / "errors.py"]
    return [_module(source) for source in sources if _exported(source) or source.name == "errors.py"]


def _module(source: Path) -> str:
    return ".".join(source.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _reference_path(room: str) -> str:
    return f"reference/{room}.md"


def _exported(source: Path) -> list[str]:
    """Names in ``__all__`` of a file."""
    for node in ast.parse(source.read_text()).body:
        if isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == ["__all__"]:
            return [name for name in ast.literal_eval(node.value) if not name.startswith("_")]
    return []


def _reference(room: str) -> str:
    """A page of mkdocstrings: the question of a room, then all that it exports; the face says it in its docstring."""
    source = ROOT / Path(*room.split("."))
    source = source / "__init__.py" if source.is_dir() else source.with_suffix(".py")
    members = "true" if room == "lsr.errors" else "[]"
    head = f"# {room}\n\n::: {room}\n    options:\n      show_root_heading: false\n      members: {members}\n"
    names = [] if room == "lsr" else _exported(source)
    homes = _homes(source)
    return head + "".join(f"\n::: {homes.get(name, room)}.{name}\n" for name in names)


def _homes(source: Path) -> dict[str, str]:
    """The modules that names come from; a function may have the name of its module."""
    imports = [node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module or "" for node in imports for alias in node.names}


# The reference of the commands


def commands_page() -> str:
    """Every command with its arguments and options, as typer knows them."""
    from lsr.cli.app import app

    lines = ["# Commands", "", "`lsr COMMAND --help` prints the same.", ""]
    for name, command in _leaves("lsr", typer.main.get_command(app)):
        lines += [f"## {name}", "", *_described(command), ""]
    return "\n".join(lines)


def _leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for part, below in command.commands.items():
        yield from _leaves(f"{name} {part}", below)


def _described(command: Any) -> list[str]:
    text = [re.sub("^Example: (.*)$", r"Example: `\1`", line) for line in (command.help or "").strip().split("\n")]
    context = typer.Context(command)
    return [
        *text,
        "",
        "| option | value | what it says |",
        "|---|---|---|",
        *(_row(one, context) for one in command.params if one.name != "help"),
    ]


def _row(parameter: Any, context: typer.Context) -> str:
    value = parameter.metavar or parameter.display_type(context).strip("{}")
    names, kind = ", ".join(f"`{name}`" for name in parameter.opts), f"`{value}`"
    if parameter.param_type_name == "argument":
        names, kind = kind, ""
    elif parameter.is_flag:
        kind = ""
    said = (parameter.help or "").replace("|", "\\|")
    if parameter.required:
        said += " Required."
    elif parameter.default not in (None, False, ()) and "[default" not in said:
        said += f" [default: {parameter.default}]"
    return f"| {names} | {kind} | {said} |"
