//! The tutorial, from top to bottom: a block is a file to write, named by a comment above it, or commands to run.

use std::{env, fs, path::Path};

use crate::workshop::Workshop;

const TUTORIAL: &str = include_str!("../../../../docs/authoring.md");

#[test]
fn the_tutorial_tells_what_happens() {
    let workshop = Workshop::new();
    let blocks = blocks(TUTORIAL);
    assert!(blocks.len() > 15, "the tutorial has blocks");
    for block in blocks {
        match (block.file, block.language) {
            (Some(file), _) => {
                let path = workshop.path(file);
                fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
                fs::write(path, format!("{}\n", block.lines.join("\n"))).expect("the file is written");
            }
            (None, "console") => block.commands().iter().for_each(|command| command.run(&workshop)),
            (None, language) => panic!("a block of `{language}` is neither a file nor run: {:?}", block.lines),
        }
    }
}

#[derive(Debug, Default)]
struct Block<'a> {
    language: &'a str,
    file: Option<&'a str>,
    lines: Vec<&'a str>,
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let (mut blocks, mut open, mut file) = (Vec::new(), None, None);
    for line in text.lines() {
        if let Some(fence) = line.strip_prefix("```") {
            match open.take() {
                Some(block) => blocks.push(block),
                None => open = Some(Block { language: fence, file: file.take(), lines: Vec::new() }),
            }
        } else if let Some(block) = &mut open {
            block.lines.push(line);
        } else if let Some(named) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) {
            file = Some(named);
        }
    }
    blocks
}

/// A command with the status and the standard output that it must have.
struct Command<'a> {
    text: &'a str,
    status: i32,
    output: Vec<&'a str>,
}

impl<'a> Block<'a> {
    fn commands(&self) -> Vec<Command<'a>> {
        let mut commands: Vec<Command<'a>> = Vec::new();
        for line in &self.lines {
            let last = commands.last_mut();
            match (line.strip_prefix("$ "), line.strip_prefix("? "), last) {
                (Some(text), _, _) => commands.push(Command { text, status: 0, output: Vec::new() }),
                (None, Some(status), Some(command)) => command.status = status.parse().expect("a status"),
                (None, None, Some(command)) => command.output.push(line),
                (None, _, None) => panic!("`{line}` comes before a command"),
            }
        }
        commands
    }
}

impl Command<'_> {
    fn run(&self, workshop: &Workshop) {
        let program = Path::new(env!("CARGO_BIN_EXE_oast")).parent().expect("a folder of programs");
        let paths = env::var_os("PATH").expect("there are programs");
        let paths = [program.to_owned()].into_iter().chain(env::split_paths(&paths));
        let mut shell = std::process::Command::new("sh");
        let output = shell
            .current_dir(workshop.path(""))
            .env("PATH", env::join_paths(paths).expect("paths"))
            .env("OAST_DATA", "oast-data")
            .env("NO_COLOR", "1")
            .env_remove("OAST_URL")
            .args(["-c", self.text])
            .output()
            .expect("the shell starts");
        let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(self.status), "{}\n{said}\n{errors}", self.text);
        let found: Vec<&str> = said.trim_end().lines().map(str::trim_end).collect();
        let mut expected = self.output.clone();
        while expected.last().is_some_and(|line| line.is_empty()) {
            expected.pop();
        }
        assert!(
            matches(&expected, &found),
            "{}\n{said}\nis not what the tutorial says:\n{}",
            self.text,
            expected.join("\n")
        );
    }
}

/// Whether lines are as expected, where `...` stands for any lines and `[..]` for any text within one.
fn matches(expected: &[&str], found: &[&str]) -> bool {
    match (expected, found) {
        ([], []) => true,
        (["...", rest @ ..], _) => (0..=found.len()).any(|skipped| matches(rest, &found[skipped..])),
        ([first, rest @ ..], [line, lines @ ..]) => line_matches(first, line) && matches(rest, lines),
        _ => false,
    }
}

fn line_matches(expected: &str, line: &str) -> bool {
    match expected.split_once("[..]") {
        None => expected == line,
        Some((head, rest)) => line.strip_prefix(head).is_some_and(|line| {
            (0..=line.len()).filter(|at| line.is_char_boundary(*at)).any(|at| line_matches(rest, &line[at..]))
        }),
    }
}

#[test]
fn what_the_tutorial_says_is_compared() {
    assert!(matches(&["a [..] c", "...", "z"], &["a b c", "x", "y", "z"]));
    assert!(!matches(&["a [..] c"], &["a b d"]));
    assert!(!matches(&["a"], &["a", "b"]));
    assert!(!matches(&[], &["a"]));
}
