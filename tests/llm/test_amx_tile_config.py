"""The header that makes AMX work in builds by older gcc: compiled for real, and read in the assembly."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from llmrec.llm import llama_build
from llmrec.llm.llama_build import TILE_HEADER, rebuild_line

FOUND = (shutil.which(name) for name in ("c++", "clang++", "g++"))
COMPILERS = sorted({str(Path(compiler).resolve()): compiler for compiler in FOUND if compiler}.values())

CONFIGURE = """
#include <immintrin.h>
struct alignas(64) Config { unsigned char palette, start, reserved[46], rows[16]; };
void configure(unsigned char rows) {
    Config config = {};
    config.palette = 1;
    config.rows[7] = rows;
    _tile_loadconfig(&config);
}
"""
READ_BACK = """
#include <immintrin.h>
struct alignas(64) Config { unsigned char bytes[64]; };
unsigned char rows() {
    Config config = {};
    _tile_storeconfig(&config);
    return config.bytes[55];
}
"""
# The first argument of a function, which nothing but the store into the configuration needs.
ARGUMENT = re.compile(r"%(dil|di|edi|rdi)\b")
LOADED = re.compile(r"\bmovz\w*\s+-?\d+\(%r")


@functools.cache
def compile_text(compiler: str, text: str, *flags: str, header: bool = True) -> str:
    """What the compiler writes to its standard output; a failure is the test's."""
    forced = ["-include", str(TILE_HEADER)] if header else []
    done = subprocess.run(
        [compiler, *forced, *flags, "-o", "-", "-"],
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(params=COMPILERS or [pytest.param("", marks=pytest.mark.skip("there is no C++ compiler"))])
def compiler(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@functools.cache
def knows_amx(compiler: str) -> bool:
    command = [compiler, "-mamx-tile", "-x", "c++", "-fsyntax-only", "-"]
    done = subprocess.run(command, input=CONFIGURE, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode == 0


@pytest.fixture
def amx_compiler(compiler: str) -> str:
    if not knows_amx(compiler):
        pytest.skip(f"{compiler} knows no AMX")
    return compiler


def needs_help(compiler: str) -> bool:
    """Whether the compiler's own header names 8 bytes of the 64."""
    own = compile_text(
        compiler, "#include <immintrin.h>", "-mamx-tile", "-x", "c++", "-E", "-P", header=False
    )
    return re.search(r'"ldtilecfg\\t%X0"\s*::\s*"m"\s*\(\*\(\(const void \*\*\)', own) is not None


class TestEffect:
    @pytest.mark.parametrize("optimization", ["-O2", "-O3"])
    def test_the_whole_configuration_is_written(self, amx_compiler: str, optimization: str) -> None:
        flags = (optimization, "-mamx-tile", "-x", "c++", "-S")
        assert "ldtilecfg" in compile_text(amx_compiler, CONFIGURE, *flags)
        assert ARGUMENT.search(compile_text(amx_compiler, CONFIGURE, *flags))
        alone = compile_text(amx_compiler, CONFIGURE, *flags, header=False)
        assert "ldtilecfg" in alone
        assert (ARGUMENT.search(alone) is None) == needs_help(amx_compiler)

    def test_the_whole_configuration_is_read_back(self, amx_compiler: str) -> None:
        flags = ("-O2", "-mamx-tile", "-x", "c++", "-S")
        assert LOADED.search(compile_text(amx_compiler, READ_BACK, *flags))
        alone = compile_text(amx_compiler, READ_BACK, *flags, header=False)
        assert (LOADED.search(alone) is None) == needs_help(amx_compiler)

    def test_the_assembler_takes_the_instruction_in_either_syntax(
        self, amx_compiler: str, tmp_path: Path
    ) -> None:
        for syntax in ("att", "intel"):
            flags = ("-O2", "-mamx-tile", f"-masm={syntax}", "-x", "c++", "-S")
            written = tmp_path / f"{syntax}.s"
            written.write_text(compile_text(amx_compiler, CONFIGURE, *flags))
            subprocess.run([amx_compiler, "-c", "-o", tmp_path / "object", written], timeout=60, check=True)


class TestHarmlessness:
    @pytest.mark.parametrize("standard", ["11", "14", "17", "20"])
    @pytest.mark.parametrize("flags", [[], ["-mamx-tile"]], ids=["plain", "amx"])
    def test_no_warning_in_any_standard(self, compiler: str, standard: str, flags: list[str]) -> None:
        if flags and not knows_amx(compiler):
            pytest.skip(f"{compiler} knows no AMX")
        strict = ("-Wall", "-Wextra", "-Werror", "-pedantic", "-Wold-style-cast", "-Wcast-qual")
        text = "int answer(); int answer() { return 42; }"
        twice = ("-include", str(TILE_HEADER))
        compile_text(compiler, text, *twice, f"-std=c++{standard}", *strict, *flags, "-x", "c++", "-S")

    @pytest.mark.parametrize(
        "flags",
        [
            ["-x", "c++"],
            ["-x", "c", "-mamx-tile"],
            ["-x", "assembler-with-cpp", "-mamx-tile"],
            ["-x", "c++", "-mamx-tile", "-U__x86_64__"],
            ["-x", "c++", "-mamx-tile", "-D__clang__=17"],
            ["-x", "c++", "-mamx-tile", "-U__GNUC__"],
            ["-x", "c++", "-mamx-tile", "-U__GNUC__", "-D__GNUC__=14"],
        ],
        ids=["no AMX", "C", "assembler", "another processor", "clang", "no gcc", "a repaired gcc"],
    )
    def test_it_is_empty_where_it_is_not_needed(self, amx_compiler: str, flags: list[str]) -> None:
        assert compile_text(amx_compiler, "", *flags, "-E", "-P").strip() == ""

    def test_it_is_not_empty_where_it_is_needed(self, amx_compiler: str) -> None:
        found = compile_text(amx_compiler, "", "-x", "c++", "-mamx-tile", "-E", "-P")
        assert "llmrec_tile_loadconfig" in found or not needs_help(amx_compiler)


@pytest.mark.parametrize("folder", ["plain", "with spaces", 'it\'s $HOME "quoted" \\ `here`'])
def test_the_line_that_rebuilds_carries_any_path_to_the_compiler(
    folder: str, compiler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = tmp_path / folder / "amx_tile_config.h"
    header.parent.mkdir()
    header.write_text("#define REACHED 42\n")
    monkeypatch.setattr(llama_build, "TILE_HEADER", header)
    variable, _, command = rebuild_line(with_tile_header=True).rpartition(" -m pip install ")
    assert command == (
        "--force-reinstall --no-deps --no-cache-dir --no-binary llama-cpp-python llama-cpp-python"
    )
    assignment = variable.rpartition(" ")[0]
    # As make and ninja do: the variable's text is part of a command for the shell.
    script = f'export {assignment}; eval "{compiler} $CXXFLAGS -x c++ -E -P -"'
    done = subprocess.run(
        ["sh", "-c", script], input="REACHED", capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("42", "")


def test_without_amx_the_line_names_no_header() -> None:
    assert "CXXFLAGS" not in rebuild_line(with_tile_header=False)
    assert str(TILE_HEADER) in rebuild_line(with_tile_header=True)
    assert TILE_HEADER.is_file()
