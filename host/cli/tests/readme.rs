use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::setup::{copy_shipped, crate_dir};

/// Copies a page into a folder, with another one beside it, empty, in which its commands will be run.
fn lay_out(page: &str, work: &Path) -> (PathBuf, PathBuf) {
    let original = crate_dir().join("../..").join(page);
    let copy = work.join(original.file_name().expect("a page has a name"));
    fs::copy(original, &copy).expect("the page is copied");
    let folder = copy.with_extension("in");
    fs::create_dir(&folder).expect("a folder beside the copy of the page");
    (copy, folder)
}

/// Runs the console blocks of a page from top to bottom, in the folder beside it.
fn run(page: &Path) {
    // Whatever the caller's environment says, the example uses its own folder.
    let cases = trycmd::TestCases::new();
    cases.case(page).env("OAST_DATA", "oast-data").timeout(Duration::from_secs(300)).run();
}

/// Writes the blocks that a comment above them names as files.
fn write_named_blocks(page: &Path, folder: &Path) {
    let text = fs::read_to_string(page).expect("the page is text");
    let blocks = text.split("\n<!-- ").skip(1);
    for block in blocks {
        let (name, rest) = block.split_once(" -->\n```").expect("a comment names a block");
        let (_language, rest) = rest.split_once('\n').expect("a block has lines");
        let (content, _) = rest.split_once("\n```").expect("a block ends");
        fs::write(folder.join(name), format!("{content}\n")).expect("the file is written");
    }
}

/// In a folder with the demo's flights.
#[test]
fn the_readme_tells_what_happens() {
    let work = tempfile::tempdir().expect("a temporary folder");
    let (page, folder) = lay_out("README.md", work.path());
    copy_shipped(&folder);
    run(&page);
}

#[test]
fn the_page_on_windows_tells_what_happens() {
    let work = tempfile::tempdir().expect("a temporary folder");
    let (page, folder) = lay_out("docs/windows.md", work.path());
    write_named_blocks(&page, &folder);
    assert!(folder.join("oast.toml").exists() && folder.join("purchases.jsonl").exists(), "the example's files");
    run(&page);
}
