from bios_sweep.records.retention import ALL, NONE, RECOMMENDED, keep_adapters
from bios_sweep.records.workspace import Workspace


def with_adapters(root, *keys):
    workspace = Workspace(root)
    for key in keys:
        (workspace.trial_dir(key) / "adapter").mkdir(parents=True)
    return workspace


def kept(workspace):
    return {path.parent.name for path in workspace.trials.glob("*/adapter")}


def apply(workspace, sweep, policy, keys, recommended=("a",)):
    return keep_adapters(workspace, sweep, keys=keys, recommended=recommended, policy=policy)


def test_only_the_recommended_adapters_stay_by_default(tmp_path):
    workspace = with_adapters(tmp_path, "a", "b")
    assert set(apply(workspace, "one", RECOMMENDED, "ab")) == {"a"}
    assert kept(workspace) == {"a"}


def test_a_sweep_that_keeps_all_keeps_them_from_later_sweeps(tmp_path):
    workspace = with_adapters(tmp_path, "a", "b", "c")
    apply(workspace, "one", ALL, "abc")
    apply(workspace, "two", RECOMMENDED, "ab")
    assert kept(workspace) == {"a", "b", "c"}


def test_an_adapter_folder_that_is_a_link_stays_as_it_is(tmp_path):
    workspace = with_adapters(tmp_path / "runs", "b")
    apply(workspace, "one", ALL, "b")
    folder = workspace.trial_dir("b")
    (folder / "adapter").rename(tmp_path / "elsewhere")
    (folder / "adapter").symlink_to(tmp_path / "elsewhere")
    apply(workspace, "one", NONE, "b")
    assert sorted(path.name for path in folder.iterdir()) == ["adapter", "kept-by"]


def test_a_sweep_that_keeps_none_gives_up_only_its_own_claim(tmp_path):
    workspace = with_adapters(tmp_path, "a", "b")
    apply(workspace, "one", RECOMMENDED, "ab")
    assert apply(workspace, "two", NONE, "ab") == {}
    assert kept(workspace) == {"a"}
    apply(workspace, "one", NONE, "ab")
    assert kept(workspace) == set()
