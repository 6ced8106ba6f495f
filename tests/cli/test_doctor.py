"""doctor: says what is missing, says what to do, and never says a secret."""

import pytest

from nbcore.cli import doctor
from nbcore.core import hardware


def states(checks):
    return {check.name: check.state for check in checks}


def test_a_machine_that_can_run_the_tests_can_run_the_tiny_profile(capsys):
    assert doctor.main() == 0
    printed = capsys.readouterr().out
    assert "Ready" in printed and "gpt_oss_20b" in printed


def test_every_check_that_is_not_ok_says_what_to_do(store):
    for check in doctor.report(store):
        assert check.found and (check.state == "ok" or check.remedy), check


def test_without_rust_the_tiny_profile_cannot_run(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_first_line", lambda *command: None)
    assert doctor.main() == 1
    assert "rustc" in capsys.readouterr().out


def test_an_old_rustc_is_a_warning(monkeypatch):
    monkeypatch.setattr(doctor, "_first_line", lambda tool, *rest: f"{tool} 1.63.0 (4b91a6ea7 2022-08-08)")
    assert states(doctor._rust())["rustc"] == "warn"


def test_a_package_off_the_lock_is_a_warning_except_where_colab_keeps_its_own(monkeypatch):
    monkeypatch.setattr(doctor, "_pins", lambda: {"torch": "1.0.0", "bitsandbytes": "1.0.0", "numpy": "1.0.0"})
    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    assert states(doctor._packages())["torch"] == "warn"
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
    after = states(doctor._packages())
    assert after["torch"] == "ok" and after["packages"] == "ok" and after["bitsandbytes"] == "warn"


def test_a_weak_sandbox_is_a_warning_that_names_what_is_lost(monkeypatch):
    """Better to hear of it before hours of training than at the first reward."""
    from nbcore.grading import grader

    monkeypatch.setattr(grader.RustGrader, "lost", ["files", "network"])
    (check,) = doctor._sandbox()
    assert check.state == "warn" and "degraded (files, network)" in check.found and check.remedy


def test_a_grader_that_cannot_grade_is_missing_and_says_why(monkeypatch):
    """All promises held and every verdict of the evaluation was an infra_error: only a real program shows it."""
    assert [(check.name, check.state) for check in doctor._grading()] == [("grader", "ok")]
    from nbcore.grading import grader, verdicts

    def fails(self, samples):
        return [
            {**verdicts.unknown(1), "id": one["id"], "errors": [verdicts.note("infra", "no disk")]} for one in samples
        ]

    monkeypatch.setattr(grader.RustGrader, "grade", fails)
    (check,) = doctor._grading()
    assert check.state == "missing" and "no disk" in check.found and check.remedy


def test_an_absent_package_is_missing(monkeypatch):
    monkeypatch.setattr(doctor, "_pins", lambda: {"torch": "1", "bitsandbytes": "1", "nbcore-no-such-package": "1"})
    assert states(doctor._packages())["packages"] == "missing"


@pytest.mark.parametrize("token", ["hf_veryVERYsecret", ""])
def test_the_token_is_only_ever_set_or_not_set(monkeypatch, capsys, token):
    monkeypatch.setenv("HF_TOKEN", token)
    doctor.main()
    printed = capsys.readouterr().out
    assert "veryVERY" not in printed and ("not set" in printed) == (token == "")


def test_profiles_give_a_reason_for_each_no():
    device = hardware.Device("cuda", "Tesla T4", 14.7, False, "t4")
    rows = {name: (runs, why) for name, runs, why in doctor.profiles(device)}
    assert rows["small"][0] and not rows["medium"][0]
    assert "20 GiB" in rows["medium"][1]
