//! Help, the manual page and completions: all of them know all commands.

use std::process::Command;

use crate::sample::{Folder, run, run_with_input};

/// In the order of the help.
const COMMANDS: [&str; 21] = [
    "index",
    "search",
    "mcp",
    "stats",
    "get",
    "delete",
    "import",
    "export",
    "query",
    "verify",
    "flush",
    "merge",
    "fork",
    "backup",
    "restore",
    "changes",
    "in-doubt",
    "compress",
    "bench",
    "completions",
    "man",
];

#[test]
fn help_begins_with_what_a_newcomer_needs() {
    let folder = Folder::new();
    let help = folder.here(&["--help"]).out;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names: Vec<&str> = listed.map_while(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, [&COMMANDS[..], &["help"]].concat());
    for text in ["Start here:", "cgv index .", "cgv search \"", "cgv mcp"] {
        assert!(help.contains(text), "{help}");
    }
    for command in ["index", "search", "compress"] {
        let help = folder.here(&[command, "--help"]).out;
        assert!(help.contains("Examples:\n") && help.contains(&format!("  cgv {command} ")), "{help}");
    }
    assert!(folder.here(&["mcp", "--help"]).out.contains("mcpServers"));
}

#[test]
fn the_manual_has_every_command() {
    let folder = Folder::new();
    let page = folder.here(&["man"]).out;
    assert!(
        page.contains(".TH cgv 1") && page.contains("Start here:") && page.contains("CGV_OPENAI_API_KEY"),
        "{page}"
    );
    for command in COMMANDS {
        assert!(page.contains(&format!(".SS \"cgv {command}\"\n")), "{command}");
    }
    for method in ["scalar", "product", "binary", "transform", "auto", "none"] {
        assert!(page.contains(&format!(".SS \"cgv compress {method}\"\n")), "{method}");
    }
    // What only cgv itself calls is nobody's command.
    assert!(page.contains(".SS \"cgv bench search\"\n") && !page.contains("cgv bench measure"));
    let examples = page.split(".nf\n").skip(1).map(|part| part.split(".fi\n").next().unwrap());
    let examples: Vec<&str> = examples.flat_map(str::lines).collect();
    for example in ["  cgv search parse the config file", "  cgv index .      "] {
        assert!(examples.iter().any(|line| line.starts_with(example)), "{examples:?}");
    }
    assert!(page.contains("max\\-file\\-bytes") && page.contains("no\\-snippet"), "{page}");
    assert_eq!(
        page.matches("\\-\\-store\\fR \\fI<DIR>").count(),
        1,
        "the options of every command are said once"
    );
    for section in ["ENVIRONMENT", "EXIT STATUS"] {
        assert!(page.contains(&format!(".SH \"{section}\"\n")), "{section}");
    }
    // What a formatter says of it, where there is one.
    if Command::new("groff").arg("--version").output().is_ok_and(|output| output.status.success()) {
        let ran =
            run_with_input(Command::new("groff").args(["-Kutf8", "-man", "-Tutf8", "-Wbreak", "-z"]), &page);
        assert_eq!((ran.code, &*ran.err), (Some(0), ""));
    }
}

#[test]
fn shells_can_read_their_completions() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = folder.here(&["completions", shell]).out;
        for word in ["index", "search", "mcp", "max-file-bytes"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        let here = ["bash", "zsh", "fish"].contains(&shell)
            && Command::new(shell).arg("--version").output().is_ok_and(|output| output.status.success());
        if here {
            folder.file("script", &script);
            let ran = run(Command::new(shell).arg("-n").arg(folder.path().join("script")));
            assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{shell}");
        }
    }
    assert_eq!(run(&mut folder.cgv_anywhere(&["completions", "tcsh"])).code, Some(2));
}
