"""The configuration that nova-compute sees, read by the library that nova-compute reads it with.

The files are rebuilt in a private directory from what the probe brought back, and read in the order
in which nova-compute reads them. Only the options of `postcopy.nova.options` are rebuilt: a file
may also tell oslo.config to fetch other files from elsewhere.
"""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from postcopy.nova.options import OPTIONS, Option, find

if TYPE_CHECKING:
    from oslo_config import cfg

__all__ = ["Configuration", "Problem", "Setting", "ENVIRONMENT"]

ENVIRONMENT = "the environment"
"""The path of settings that come from the environment of nova-compute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One place where an option is set.

    :ivar option: by its present name, whatever it is called there.
    :ivar text: its value as it is written.
    :ivar line: the number of its first line, from 1.
    :ivar lines: how many lines it takes.
    """

    option: Option
    text: str
    path: str
    line: int
    lines: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that nova-compute stumbles over, and does not start.

    :ivar line: from 1; 0 where it is the file as a whole.
    :ivar option: whose value is none; empty where the file cannot be parsed.
    """

    path: str
    line: int
    text: str
    option: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}" if self.line else f"{self.path}: {self.text}"


@dataclass(frozen=True, slots=True)
class Configuration:
    """All files together. Make one with `read`.

    :ivar settings: every setting of a known option, those that win last.
    """

    settings: tuple[Setting, ...] = ()
    problems: tuple[Problem, ...] = ()
    _values: Mapping[tuple[str, str], Any] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        files: Iterable[tuple[str, str]],
        environment: Mapping[str, str] | None = None,
        defaults: Mapping[str, str] | None = None,
        release: int | None = None,
    ) -> "Configuration":
        """Read files as nova-compute does.

        :param files: path and text of each, in the order of reading.
        :param environment: its variables ``OS_<SECTION>__<OPTION>``, which outdo every file.
        :param defaults: what the host itself has as the default of ``my_ip`` and ``host``.
        :param release: of Nova, whose defaults count.
        """
        settings: list[Setting] = []
        problems: list[Problem] = []
        for path, text in files:
            found, problem = _scan(path, text)
            settings += found
            if problem:
                problems.append(problem)
        settings += _of_environment(environment or {})
        values, wrong = _values(settings, defaults or {}, release)
        return cls(tuple(settings), (*problems, *wrong), values)

    def value(self, name: str, section: str = "libvirt") -> Any:
        """Return the value of an option that counts; its default where it is not set or no value.

        :raises KeyError: when it is not one of `postcopy.nova.options`.
        """
        return self._values[section, name]

    def all(self, name: str, section: str = "libvirt") -> list[Setting]:
        """Return every place where an option is set; the one that counts is the last."""
        return [
            setting
            for setting in self.settings
            if (setting.option.section, setting.option.name) == (section, name)
        ]

    def where(self, name: str, section: str = "libvirt") -> str:
        """Say where the value that counts is set: file and line, or that it is the default."""
        places = self.all(name, section)
        return str(places[-1]) if places else "by default"


def _scan(path: str, text: str) -> tuple[list[Setting], Problem | None]:
    """Return the settings of one file, or of its part before the line that cannot be parsed."""
    from oslo_config import iniparser

    found: list[Setting] = []

    class Scanner(iniparser.BaseParser):
        section = ""
        began = 0

        def _split_key_value(self, line: str) -> tuple[str, list[str]]:
            self.began = self.lineno
            return super()._split_key_value(line)

        def new_section(self, section: str) -> None:
            self.section = section

        def assignment(self, key: str, value: list[str]) -> None:
            if not self.section:
                raise iniparser.ParseError(
                    "a section must begin before the first option", self.began, key
                )
            option = find(self.section, key)
            if option is not None:
                joined = "\n".join(value)
                found.append(
                    Setting(
                        option=option, text=joined, path=path, line=self.began, lines=len(value)
                    )
                )

    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    try:
        Scanner().parse(lines)
    except iniparser.ParseError as error:
        return [], Problem(path, error.lineno, error.msg)
    except IndexError:  # oslo.config's own, for a value that is one quote
        return [], Problem(path, 0, "it cannot be parsed")
    return found, None


def _of_environment(environment: Mapping[str, str]) -> list[Setting]:
    named = {f"OS_{option.section.upper()}__{option.name.upper()}": option for option in OPTIONS}
    return [
        Setting(option=named[name], text=" ".join(value.splitlines()), path=ENVIRONMENT, line=0)
        for name, value in sorted(environment.items())
        if name in named
    ]


def _values(
    settings: Sequence[Setting], defaults: Mapping[str, str], release: int | None
) -> tuple[dict[tuple[str, str], Any], list[Problem]]:
    from oslo_config import cfg

    conf = cfg.ConfigOpts()
    for option in OPTIONS:
        conf.register_opt(_registered(option, defaults, release), group=_group(option))
    with tempfile.TemporaryDirectory(prefix="postcopy-nova-") as directory:
        path = Path(directory) / "nova.conf"
        path.touch(mode=0o600)
        path.write_text(_rebuilt(settings), encoding="utf-8", errors="replace")
        conf(
            args=[f"--config-file={path}"],
            project="nova",
            prog="nova-compute",
            default_config_files=[],
            default_config_dirs=[],
            use_env=False,
        )
    values: dict[tuple[str, str], Any] = {}
    problems = []
    for option in OPTIONS:
        key = (option.section, option.name)
        try:
            values[key] = (conf[option.section] if _group(option) else conf)[option.name]
        except (cfg.Error, ValueError, RecursionError):
            values[key] = _default(option, release)
            setting = [one for one in settings if one.option == option][-1]
            if "$" in setting.text:
                # It stands for an option that is not looked at.
                values[key] = None if option.kind == "str" else values[key]
                continue
            complaint = _complaint(option, setting.text)
            problems.append(Problem(setting.path, setting.line, complaint, option.name))
    return values, problems


def _registered(option: Option, defaults: Mapping[str, str], release: int | None) -> "cfg.Opt":
    from oslo_config import cfg

    default = _default(option, release)
    if option.section == "DEFAULT" and option.name in defaults:
        default = defaults[option.name]
    if option.kind == "bool":
        return cfg.BoolOpt(option.name, default=default)
    if option.kind == "int":
        return cfg.IntOpt(option.name, default=default, min=option.minimum)
    if option.kind == "list":
        return cfg.ListOpt(option.name, default=default)
    if option.kind == "multi":
        return cfg.MultiStrOpt(option.name, default=default)
    return cfg.StrOpt(option.name, default=default, choices=list(option.choices) or None)


def _default(option: Option, release: int | None) -> Any:
    if option.earlier and release is not None and release < option.earlier[1]:
        return option.earlier[0]
    return option.default


def _group(option: Option) -> str | None:
    return None if option.section == "DEFAULT" else option.section


def _rebuilt(settings: Iterable[Setting]) -> str:
    """Return one file that says what all of them say together, in their order."""
    made = []
    for setting in settings:
        text = setting.text.replace("\n", "\n ")
        made.append(f"[{setting.option.section}]\n{setting.option.name} = {text}\n")
    return "\n".join(made)


def _complaint(option: Option, text: str) -> str:
    wanted = {
        "bool": "true or false",
        "int": "a whole number" + (f" from {option.minimum} up" if option.minimum else ""),
    }.get(option.kind, "one of " + ", ".join(option.choices) if option.choices else "another value")
    return f"{option.name} = {text[:80]!r} is not {wanted}"
