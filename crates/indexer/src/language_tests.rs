//! Files by their names, and headers by their text.

use std::path::Path;

use super::Language;

#[test]
fn a_name_tells_the_language() {
    for (path, language) in [
        ("a/b.c", Some(Language::C)),
        ("a/b.h", Some(Language::C)),
        ("b.hpp", Some(Language::Cpp)),
        ("b.c++", Some(Language::Cpp)),
        ("b.test.mjs", Some(Language::JavaScript)),
        ("b.d.ts", Some(Language::TypeScript)),
        ("b.tsx", Some(Language::Tsx)),
        ("Makefile", None),
        ("b.C", None),
        (".c", None),
    ] {
        assert_eq!(Language::of_path(Path::new(path)), language, "{path}");
    }
}

#[test]
fn headers_with_signs_of_cpp_are_cpp() {
    for source in [
        "class Name;",
        "/* C */\nenum class Level : char { Low };",
        "#pragma once\nnamespace a { }",
        "namespace {\n}",
        "template <typename T> struct Box;",
        "template<> struct Box<int>;",
        "struct Open { int a; private: int b; };",
        "struct Open {\nprotected:\n};",
        "std::string name();",
        "void ::reset();",
        "#ifndef __cplusplus\n#error C++ only\n#endif\nclass After;",
        "#if !defined(__cplusplus)\nint a;\n#else\nclass A;\n#endif",
        "#ifdef __cplusplus\nextern \"C\" {\n#endif\nclass After;",
        "#if 0\n#error don't\n#endif\nclass After;",
        "int million = 1'000'000; class After;",
        "char c = '\"'; class After;",
    ] {
        assert_eq!(Language::C.refine(source), Language::Cpp, "{source}");
    }
}

#[test]
fn headers_without_signs_stay_c() {
    for source in [
        "",
        "int class;",
        "struct device { struct class *class; int namespace, template; };",
        "int private, public : 1;",
        "#define class klass\n#define namespace ns\n#define template tmpl",
        "// class Name; std::string\n/* namespace a { template <class T> */ int a;",
        "const char *text = \"class Name { public: a::b\";",
        "[[gnu::packed]] struct packed { int a; };",
        "int at = a < b ? private : c;",
        "/* class Name",
        "\"class Name",
        "#error don't class",
        "int größe; /",
        "#ifdef __cplusplus\nnamespace a {\n#endif\nint a;\n#if defined(__cplusplus)\n}\n#endif",
        "#ifdef __cplusplus\n#if A\nclass A;\n#endif\nclass B;\n#else\nint a;\n#endif",
        "#ifdef __cplusplus",
    ] {
        assert_eq!(Language::C.refine(source), Language::C, "{source}");
    }
}

#[test]
fn only_the_first_64_kib_count_and_only_for_c() {
    let after = |spaces: usize| format!("{}class Name;", " ".repeat(spaces));
    assert_eq!(Language::C.refine(&after((64 << 10) - 11)), Language::Cpp);
    assert_eq!(Language::C.refine(&after(64 << 10)), Language::C);
    // The limit falls within a letter here.
    assert_eq!(Language::C.refine(&"ä".repeat(64 << 10)), Language::C);
    assert_eq!(Language::C.refine(&format!(" {}", "ä".repeat(64 << 10))), Language::C);
    assert_eq!(Language::Java.refine("class Name {}"), Language::Java);
}

#[test]
fn only_headers_are_looked_into() {
    let source = "namespace a {\nint f();\n}\n";
    assert_eq!(Language::of_file(Path::new("a.h"), source), Some(Language::Cpp));
    assert_eq!(Language::of_file(Path::new("a.c"), source), Some(Language::C));
    assert_eq!(Language::of_file(Path::new("a.md"), source), None);
}
