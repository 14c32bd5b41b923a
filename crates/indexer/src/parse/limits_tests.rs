//! The limits: steps, depth, the length of names, the stack.

use super::any_text_tests::{LANGUAGES, check};
use super::walk::{MAX_NAME_BYTES, MAX_SCOPES};
use super::{most_looks, parse, parse_within};
use crate::language::Language;
use crate::node::{NodeKind, ParsedFile};

/// A stack that no recursion over a deep tree would get by with.
const SMALL_STACK: usize = 512 << 10;

/// Parses on a small stack, however long it takes.
fn parse_on_small_stack(source: &str, language: Language) -> ParsedFile {
    std::thread::scope(|scope| {
        let parse = || parse_within(source, language, u64::MAX);
        let thread = std::thread::Builder::new().stack_size(SMALL_STACK);
        thread.spawn_scoped(scope, parse).expect("a thread").join().expect("no panic")
    })
}

fn nested(open: &str, core: &str, close: &str, times: usize) -> String {
    [open.repeat(times), core.to_owned(), close.repeat(times)].concat()
}

/// What every level of nesting indents further.
fn indented(line: &str, core: &str, times: usize) -> String {
    let mut source = String::new();
    for level in 0..times {
        source.extend(std::iter::repeat_n(' ', level));
        source.push_str(line);
    }
    source.extend(std::iter::repeat_n(' ', times));
    source.push_str(core);
    source
}

#[test]
fn what_takes_too_long_is_given_up_and_the_next_file_is_not() {
    let source = "fn f() { g(1, 2, 3); }\n".repeat(10_000);
    let late = parse_within(&source, Language::Rust, 20);
    assert_eq!(late.given_up, Some("takes too long to parse"));
    assert_eq!((late.nodes.len(), late.docs.len(), late.syntax_errors), (0, 0, 0));

    let in_time = parse_within("fn f() {}\n", Language::Rust, 20);
    assert_eq!((in_time.given_up, in_time.nodes.len()), (None, 1));
    let python = parse("def f(): pass\n", Language::Python);
    assert_eq!((python.given_up, python.nodes.len()), (None, 1));
}

/// The least number of looks that a text is parsed within.
fn least_looks(source: &str, language: Language) -> u64 {
    let fits = |looks| parse_within(source, language, looks).given_up.is_none();
    let (mut low, mut high) = (0, most_looks(source.len()));
    assert!(fits(high), "{language:?}: {} bytes take too long", source.len());
    while low < high {
        let middle = (low + high) / 2;
        if fits(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

#[test]
fn what_takes_too_long_is_a_matter_of_the_text_alone() {
    let source = "fn f() { g(1, 2, (3 + 4) * h[5]); }\n".repeat(3_000);
    let looks = least_looks(&source, Language::Rust);
    assert!(looks > 100, "{looks}");
    let others = ["fn a() {{{{", "x = [(", "class A: pass"];
    std::thread::scope(|scope| {
        // Threads that are busy with other things, before and at the same time.
        let busy = |other: &'static str| {
            let source = &source;
            scope.spawn(move || {
                parse(&other.repeat(500), Language::Python);
                assert!(parse_within(source, Language::Rust, looks).given_up.is_none());
                assert!(parse_within(source, Language::Rust, looks - 1).given_up.is_some());
            })
        };
        others.map(busy).into_iter().for_each(|thread| thread.join().expect("no panic"));
    });
}

#[test]
fn the_densest_of_files_are_well_within_the_limit() {
    let numbers = "1,".repeat(200_000);
    let sources = [
        (Language::Rust, format!("const A: &[u8] = &[{numbers}];")),
        (Language::Python, format!("a = [{numbers}]")),
        (Language::JavaScript, format!("let a=[{numbers}];")),
        (Language::TypeScript, format!("let a=[{numbers}];")),
        (Language::Java, format!("class A {{ int[] a = {{{numbers}}}; }}")),
        (Language::Go, format!("package a\nvar a = []int{{{numbers}}}")),
        (Language::C, format!("int a[] = {{{numbers}}};")),
        (Language::Cpp, format!("int a[] = {{{numbers}}};")),
    ];
    for (language, source) in sources {
        let looks = most_looks(source.len());
        let file = parse_within(&source, language, looks / 4 * 3);
        assert_eq!(file.given_up, None, "{language:?} needs more than three quarters of {looks}");
    }
}

#[test]
fn deep_blocks_are_walked_to_their_bottom() {
    let rust = format!("fn a() {{ {} }} fn b() {{}}", nested("{", "fn deep() {}", "}", 10_000));
    let go =
        format!("package a\nfunc a() {{ {} }}\nfunc b() {{}}", nested("{", "type deep int", "}", 10_000));
    let java =
        format!("class a {{ void a() {{ {} }} }} class b {{}}", nested("{", "class deep {}", "}", 10_000));
    let sources =
        [(Language::Rust, rust, "a::deep"), (Language::Go, go, "a.deep"), (Language::Java, java, "a.a.deep")];
    for (language, source, deep) in sources {
        let file = parse_on_small_stack(&source, language);
        check(&source, &file);
        assert_eq!((file.given_up, file.syntax_errors), (None, 0), "{language:?}");
        let names: Vec<&str> = file.nodes.iter().map(|node| &*node.qualified_name).collect();
        assert!(names.contains(&deep) && names.ends_with(&["b"]), "{language:?}: {names:?}");
    }
}

#[test]
fn deep_blocks_of_python_are_walked_to_their_bottom() {
    let source = format!("{}\ndef b(): pass\n", indented("if x:\n", "def deep(): pass", 1_000));
    let file = parse_on_small_stack(&source, Language::Python);
    check(&source, &file);
    let names: Vec<&str> = file.nodes.iter().map(|node| &*node.qualified_name).collect();
    assert_eq!(names.last(), Some(&"b"), "{names:?}");
}

#[test]
fn deep_parentheses_are_no_matter() {
    let parentheses = nested("(", "1", ")", 10_000);
    let sources = [
        (Language::Rust, format!("fn a() {{ {parentheses}; }} fn b() {{}}")),
        (Language::Go, format!("package a\nvar x = {parentheses}\nfunc b() {{}}")),
        (Language::Java, format!("class a {{ int x = {parentheses}; }} class b {{}}")),
        (Language::Python, format!("x = {parentheses}\ndef b(): pass")),
        (Language::C, format!("int x = {parentheses}; int b(void) {{ return 0; }}")),
        (Language::Cpp, format!("int x = {parentheses}; int b() {{ return 0; }}")),
        (Language::JavaScript, format!("let x = {parentheses}; function b() {{}}")),
        (Language::TypeScript, format!("let x = {parentheses}; function b() {{}}")),
        (Language::Tsx, format!("let x = {parentheses}; function b() {{}}")),
    ];
    for (language, source) in sources {
        let file = parse_on_small_stack(&source, language);
        check(&source, &file);
        assert_eq!(file.given_up, None, "{language:?}");
        assert_eq!(file.nodes.last().map(|node| &*node.name), Some("b"), "{language:?}");
    }
}

#[test]
fn what_nests_too_deeply_is_left_out_and_said() {
    let sources = [
        (Language::Rust, nested("fn a(){", "", "}", 10_000) + "fn b(){}"),
        (Language::Java, nested("class a{", "", "}", 10_000) + "class b{}"),
        (Language::Python, indented("def a():\n", "pass", 1_000) + "\ndef b(): pass"),
        (Language::Cpp, nested("namespace a {", "", "}", 10_000) + "int b() { return 0; }"),
        (Language::JavaScript, nested("function a(){", "", "}", 10_000) + "function b(){}"),
        (Language::TypeScript, nested("namespace a {", "", "}", 10_000) + "function b(){}"),
        (Language::Tsx, nested("function a(){", "", "}", 10_000) + "function b(){}"),
    ];
    for (language, source) in sources {
        let file = parse_on_small_stack(&source, language);
        check(&source, &file);
        assert_eq!(file.given_up, Some("nests too deeply"), "{language:?}");
        assert_eq!(file.nodes.len(), MAX_SCOPES + 1, "{language:?}");
        assert_eq!(file.nodes.last().map(|node| &*node.name), Some("b"), "{language:?}");
    }
}

#[test]
fn brackets_that_are_never_closed_do_not_overflow_the_stack() {
    for language in LANGUAGES {
        for open in ["(", "{", "[", "<", "a(", "class a {", "fn a() {", "f(\"", "/*", "if (a) {", "x = [("] {
            let source = open.repeat(3_000);
            check(&source, &parse_on_small_stack(&source, language));
        }
    }
}

#[test]
fn names_that_are_too_long_are_left_out_and_said() {
    let long = "x".repeat(MAX_NAME_BYTES + 1);
    let source = format!("mod {long} {{ fn inner() {{}} }}\nfn after() {{}}\n");
    let file = parse(&source, Language::Rust);
    check(&source, &file);
    assert_eq!(file.given_up, Some("has names that are too long"));
    let names: Vec<_> = file.nodes.iter().map(|node| &*node.qualified_name).collect();
    assert_eq!(names, ["after"]);
}

#[test]
fn a_wide_file_is_read_to_its_end() {
    let source = "/// Docs.\nfn f(a: u8) -> u8 { a }\n".repeat(60_000);
    let file = parse_on_small_stack(&source, Language::Rust);
    assert_eq!((file.given_up, file.syntax_errors, file.nodes.len()), (None, 0, 60_000));
    let last = file.nodes.last().expect("the last of them");
    assert_eq!((last.kind, last.ordinal, last.end_line), (NodeKind::Function, 59_999, 120_000));
    assert_eq!(&source[last.docs[0].clone()], "/// Docs.");
}

#[test]
fn twenty_megabytes_of_comments_and_strings_are_read() {
    let line = "// A line of a comment that is long enough to be one, and a bit longer still.\n";
    let source = format!(
        "fn a() {{}}\n{}const S: &str = \"{}\";\nfn b() {{}}\n",
        line.repeat(130_000),
        line.repeat(130_000)
    );
    assert!(source.len() > 20_000_000);
    let file = parse_on_small_stack(&source, Language::Rust);
    let found: Vec<_> = file.nodes.iter().map(|node| (&*node.name, node.start_line)).collect();
    assert_eq!(found, [("a", 1), ("b", 260_003)]);
}
