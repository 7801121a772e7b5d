"""What is read off the running kernel, from files made by hand."""

from pathlib import Path

from rmapwatch.kernels.read import kernel_thread


def test_a_kernel_thread_is_no_process_of_that_name(tmp_path: Path) -> None:
    """Anybody may be called so; the kernel's own are the children of kthreadd."""
    others = [(number, "ksmd", 1) for number in range(50, 80)]
    for number, name, parent in ((42, "ksmd", 2), (43, "a) S 2 (ksmd", 7), *others):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "stat").write_text(f"{number} ({name}) S {parent} 0 0\n")
    (tmp_path / "uptime").write_text("1 1")
    assert kernel_thread("ksmd", tmp_path) == 42
    assert kernel_thread("khugepaged", tmp_path) is None
