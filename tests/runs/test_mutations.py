"""Take one check, one fsync or one marker out of the store: some test of it turns red.

A suite that stays green without the thing it is there for tests nothing. Each mutation is made in a copy of the
repository, and the tests that should notice it run there until the first failure (tests/mutation.py).
"""

import pytest

from tests.mutation import Mutation, copied, fits, suite_as_it_is, suite_with

TESTS = "tests/runs"
COMMIT, CHECKPOINTS, RETENTION, LEASE = (f"runs/{name}.py" for name in ("commit", "checkpoints", "retention", "lease"))
MIRROR, BACKENDS, BUNDLE = (f"runs/mirror/{name}.py" for name in ("mirror", "backends", "bundle"))


MUTATIONS = {
    "no fsync of files": Mutation(COMMIT, "commit", "sync(path)", "pass", "test_power_cut.py"),
    "no fsync of what is replaced": Mutation(
        COMMIT, "write_durably", "os.fsync(file.fileno())", "pass", "test_power_cut.py"
    ),
    "no fsync of the folder": Mutation(COMMIT, "write_durably", "sync(path.parent)", "pass", "test_power_cut.py"),
    "no rename": Mutation(
        COMMIT,
        "write_durably",
        'path.with_name(f".{path.name}.new")',
        "path",
        "test_commit.py::test_a_write_that_fails_leaves_the_old_content",
    ),
    "no hash of content": Mutation(
        COMMIT,
        "_difference",
        'sha256(path) == expected["sha256"]',
        "True",
        "test_commit.py::test_a_thousand_flipped_bits_are_all_noticed",
    ),
    "unreadable is fatal": Mutation(
        COMMIT,
        "problems",
        'lines.append(f"{name}: cannot be read ({error.strerror})")',
        "raise",
        "test_commit.py::test_a_disk_that_fails_to_read_one_checkpoint_still_has_the_other",
    ),
    "half-written files are vouched for": Mutation(
        COMMIT,
        "commit",
        "is_hidden(name)",
        "False",
        "test_commit.py::test_what_a_kill_left_half_done_is_in_no_manifest",
    ),
    "no seal": Mutation(
        COMMIT,
        "read_sealed",
        'facts.pop("seal", None) != _seal(facts)',
        'facts.pop("seal", None) is None',
        "test_commit.py::test_run_json_vouches_for_itself",
    ),
    "no hash of the manifest": Mutation(
        COMMIT,
        "problems",
        'hashlib.sha256(manifest).hexdigest() != facts.get("manifest")',
        "False",
        "test_run.py::test_one_flipped_bit_is_named_and_refused",
    ),
    "marker first": Mutation(
        COMMIT,
        "commit",
        'write_durably(directory / MANIFEST, json.dumps({"files": files}, indent=1) + "\\n")',
        'write_sealed(directory / marker, {**facts, "manifest": "later"})\n'
        'write_durably(directory / MANIFEST, json.dumps({"files": files}, indent=1) + "\\n")',
        "test_power_cut.py",
    ),
    "names may lead outside": Mutation(
        COMMIT,
        "problems",
        "not is_confined(name)",
        "False",
        "test_commit.py::test_a_manifest_that_points_outside_is_refused",
    ),
    "links are followed": Mutation(
        COMMIT,
        "_difference",
        "path.is_symlink()",
        "False",
        "test_commit.py::test_missing_and_swapped_files_are_noticed_and_new_ones_are_not_read",
    ),
    "any step under any name": Mutation(
        CHECKPOINTS,
        "problems",
        'self.facts.get("step") != self.step',
        "False",
        "test_commit.py::test_missing_and_swapped_files_are_noticed_and_new_ones_are_not_read",
    ),
    "torn weights are committed": Mutation(
        CHECKPOINTS,
        "save",
        "_unreadable(file)",
        "None",
        "test_commit.py::test_weights_that_were_not_written_whole_are_not_committed",
    ),
    "no verification of the newest": Mutation(
        CHECKPOINTS,
        "newest",
        "checkpoint.problems()",
        "[]",
        "test_commit.py::test_a_thousand_flipped_bits_are_all_noticed",
    ),
    "weights of a trained run unchecked": Mutation(
        CHECKPOINTS,
        "trained",
        'facts["result"] if sound else {}',
        'facts["result"]',
        "test_commit.py::test_weights_that_changed_after_training_are_trained_again_from_the_checkpoint",
    ),
    "marker dropped last": Mutation(
        CHECKPOINTS,
        "drop",
        "(checkpoint.path / layout.CHECKPOINT).unlink(missing_ok=True)\ncommit.sync(checkpoint.path)",
        "pass",
        "test_power_cut.py",
    ),
    "parts not read back": Mutation(
        MIRROR,
        "_put",
        "not self.backend.acknowledges",
        "False",
        "mirror/test_mirror.py::test_a_medium_that_loses_what_it_took_is_noticed_at_once",
    ),
    "parts not hashed": Mutation(
        MIRROR,
        "fetch",
        'commit.sha256(files[-1]) == part["sha256"]',
        "True",
        "mirror/test_restore.py::test_damage_to_any_file_falls_back_to_the_one_before",
    ),
    "record before its parts": Mutation(
        MIRROR,
        "deliver",
        "self._put(name, part.path, part.sha256, staging)",
        "(staging / 'early').write_text('{}')\n"
        "parts[1:] or self.backend.put(f'{stem}.commit.json', staging / 'early')\n"
        "self._put(name, part.path, part.sha256, staging)",
        "test_power_cut.py",
    ),
    "what came back is not verified": Mutation(
        MIRROR,
        "fetch",
        'raise ValueError(f"{record.name}: {problems[0]}")',
        "pass",
        "mirror/test_restore.py::test_what_was_damaged_here_before_it_was_copied_is_not_taken",
    ),
    "another run's records": Mutation(
        MIRROR,
        "records",
        "record.run == run",
        "True",
        "mirror/test_mirror.py::test_a_bundle_under_another_runs_name_is_not_taken",
    ),
    "unconfirmed counts as confirmed": Mutation(
        MIRROR,
        "prune",
        "self.confirmed(record) in ((True, None) if unconfirmed else (True,))",
        "True",
        "mirror/test_mirror.py::test_old_bundles_go_once_a_newer_one_is_confirmed",
    ),
    "no fsync on the mirror": Mutation(BACKENDS, "put", "os.fsync(write.fileno())", "pass", "test_power_cut.py"),
    "the mirror is overwritten": Mutation(
        BACKENDS,
        "put",
        'target.open("xb")',
        'target.open("wb")',
        "mirror/test_backends.py::test_names_are_never_written_twice",
    ),
    "not emptied before it goes": Mutation(BACKENDS, "delete", "os.truncate(path, 0)", "pass", "test_power_cut.py"),
    "provisional ids count": Mutation(
        BACKENDS,
        "stat",
        "not drive_id.startswith(PROVISIONAL)",
        "True",
        "mirror/test_backends.py::test_on_a_drive_confirmed_means_uploaded",
    ),
    "archives may hold links": Mutation(BUNDLE, "unpack", "not member.isreg()", "False", "mirror/test_bundle.py"),
    "archives of any size": Mutation(BUNDLE, "unpack", "left < 0", "False", "mirror/test_bundle.py"),
    "the last good one may go": Mutation(RETENTION, "expendable", "item.step < safe", "True", "test_retention.py"),
    "damaged ones count": Mutation(
        RETENTION,
        "expendable",
        "(item for item in items if item.verified)",
        "(item for item in items)",
        "test_retention.py",
    ),
    "blessed ones go": Mutation(
        RETENTION, "expendable", "kept |= {item for item in items if item.blessed}", "pass", "test_retention.py"
    ),
    "two hold one lease": Mutation(LEASE, "take", "holder(run)", "None", "test_lease.py"),
    "the dead hold leases": Mutation(
        LEASE, "holder", '_started(lease["pid"]) == lease["started"]', "True", "test_lease.py"
    ),
}


@pytest.fixture(scope="module")
def copy(repo, tmp_path_factory):
    return copied(repo, tmp_path_factory.mktemp("mutated"), ("nbcore", "tests", "configs", "notebooks"))


@pytest.mark.parametrize("name", MUTATIONS)
def test_each_mutation_is_of_what_the_store_holds_now(repo, name):
    """Quick: a mutation that no longer fits is told with the change that made it so, and not at night."""
    assert fits(repo, MUTATIONS[name])


@pytest.mark.slow
def test_the_suite_is_green_as_it_is(copy):
    """Else every mutation below would seem to be noticed."""
    code, output = suite_as_it_is(copy, TESTS, MUTATIONS)
    assert code == 0, output


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_missing_check_is_noticed(copy, name):
    code, output = suite_with(copy, TESTS, MUTATIONS, name)
    assert code == 1, f"nothing notices: {name}\n{output}"
