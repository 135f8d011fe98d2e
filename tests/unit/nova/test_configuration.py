"""nova.conf as nova-compute reads it, with the file and the line of every setting."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oslo_config import cfg

from postcopy.nova.configuration import Configuration
from tests.unit.nova.test_options import texts


def read(*texts_: str, **more: Any) -> Configuration:
    return Configuration.read([(f"/{i}.conf", text) for i, text in enumerate(texts_)], **more)


def test_the_later_file_counts_and_the_later_line() -> None:
    conf = read(
        "[libvirt]\nvirt_type = qemu\ncpu_mode = none\n",
        "[libvirt]\n\nvirt_type = lxc\nvirt_type = kvm\n[DEFAULT]\nmy_ip=10.0.0.9\n",
    )
    assert (conf.value("virt_type"), conf.where("virt_type")) == ("kvm", "/1.conf:4")
    assert (conf.value("cpu_mode"), conf.where("cpu_mode")) == ("none", "/0.conf:3")
    assert [str(one) for one in conf.all("virt_type")] == ["/0.conf:2", "/1.conf:3", "/1.conf:4"]
    assert conf.where("live_migration_downtime") == "by default"


def test_values_go_on_in_the_next_line_until_a_blank_one() -> None:
    conf = read("[libvirt]\ncpu_models = one,\n   two,\n\tthree\n\n# end\nvirt_type: 'qemu'\n")
    assert conf.value("cpu_models") == ["one", "two", "three"]
    assert [(one.line, one.lines) for one in conf.settings] == [(2, 3), (7, 1)]
    assert conf.value("virt_type") == "qemu"


def test_an_option_may_be_given_many_times_where_that_adds_up() -> None:
    conf = read("[pci]\npassthrough_whitelist = a\n", "[pci]\ndevice_spec = b\ndevice_spec = c\n")
    assert conf.value("device_spec", "pci") == ["a", "b", "c"]


def test_the_environment_outdoes_every_file() -> None:
    conf = read(
        "[libvirt]\nlive_migration_downtime = 300\n",
        environment={"OS_LIBVIRT__LIVE_MIGRATION_DOWNTIME": "400", "OS_X__PASSWORD": "x"},
    )
    assert conf.value("live_migration_downtime") == 400
    assert conf.where("live_migration_downtime") == "the environment"


def test_one_option_may_stand_for_another() -> None:
    conf = read("[libvirt]\nlive_migration_inbound_addr = $my_ip\n", defaults={"my_ip": "10.0.0.7"})
    assert conf.value("live_migration_inbound_addr") == "10.0.0.7"
    unknown = read("[libvirt]\nlive_migration_inbound_addr = $unheard_of\n[DEFAULT]\nhost=$host\n")
    assert unknown.value("live_migration_inbound_addr") is None
    assert not unknown.problems


def test_the_default_is_that_of_the_release() -> None:
    wait = ("live_migration_wait_for_vif_plug", "compute")
    assert read("[x]\n", release=18).value(*wait) is False
    assert read("[x]\n", release=31).value(*wait) is True


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[libvirt]\nvirt_type = kvm\nnonsense\n", "/0.conf:3: "),
        ("[libvirt\n", "/0.conf:1: "),
        ("virt_type = kvm\n", "/0.conf:1: "),
        ("  x\n", "/0.conf:1: "),
        ("[libvirt]\n\nlive_migration_timeout_action = force\n", "/0.conf:3: "),
        ("[libvirt]\nlive_migration_permit_post_copy = maybe\n", "/0.conf:2: "),
        ("[libvirt]\nlive_migration_downtime = 50\n", "from 100 up"),
    ],
)
def test_what_nova_compute_stumbles_over_is_named(text: str, said: str) -> None:
    [problem] = read(text).problems
    assert said in str(problem)


def test_nothing_in_a_file_makes_the_reader_fetch_another(tmp_path: Path) -> None:
    other = tmp_path / "other.conf"
    other.write_text("[libvirt]\nvirt_type = lxc\n")
    text = f"[DEFAULT]\nconfig_source = x\nconfig_file = {other}\nconfig_dir = {tmp_path}\n"
    conf = read(f"{text}[x]\ndriver = remote_file\nuri = file://{other}\n[libvirt]\n")
    assert conf.value("virt_type") == "kvm"


@given(texts, st.dictionaries(st.sampled_from(["OS_LIBVIRT__VIRT_TYPE"]), st.text()))
def test_no_file_is_too_strange_to_be_read(text: str, environment: dict[str, str]) -> None:
    for problem in read(text, environment=environment).problems:
        assert str(problem)


def test_files_on_the_command_line_outdo_directories_that_are_not(tmp_path: Path) -> None:
    """What the order of a probe's layout rests on, as oslo.config itself has it."""
    directory = tmp_path / "nova.conf.d"
    directory.mkdir()
    drop_in, file = directory / "x.conf", tmp_path / "nova.conf"
    drop_in.write_text("[libvirt]\nvirt_type = qemu\n")
    file.write_text("[libvirt]\nvirt_type = lxc\n")

    def virt_type(*args: str) -> object:
        conf = cfg.ConfigOpts()
        conf.register_opt(cfg.StrOpt("virt_type"), group="libvirt")
        conf(
            args=args,
            project="nova",
            default_config_files=[str(file)],
            default_config_dirs=[str(directory)],
            use_env=False,
        )
        return conf.libvirt.virt_type

    assert virt_type() == "qemu"
    assert virt_type(f"--config-file={file}") == "lxc"
    assert virt_type(f"--config-file={file}", f"--config-dir={directory}") == "qemu"
