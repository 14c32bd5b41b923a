//! What is blanked out of C and C++, and what is not.

use super::masked;

/// What is left, without the white space.
fn left(source: &str, is_c: bool) -> String {
    let text = masked(source, is_c);
    assert_eq!(text.len(), source.len(), "{source}");
    for (before, after) in source.bytes().zip(text.bytes()) {
        assert!(before == after || (after == b' ' && before != b'\n'), "{source}");
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn macros_in_heads_go() {
    for (source, expected) in [
        ("class EXPORT Name {", "class Name {"),
        ("class ALIGNED(8) EXPORT Name final : public Base {", "class Name final : public Base {"),
        ("template <class T> struct PACKED Name {", "template <class T> struct Name {"),
        ("API void CALL name(int a);", "void name(int a);"),
        ("static INLINE size_t name(int a) {", "static size_t name(int a) {"),
        ("BOOL CALL name(int a) {", "BOOL name(int a) {"),
        ("static int __init name(void) {", "static int name(void) {"),
        ("int __must_check name(int a) __must_hold(a) {", "int name(int a) {"),
        ("virtual EXPORT std::string name() = 0;", "virtual std::string name() = 0;"),
        ("extern int name(int) __THROW __nonnull((1));", "extern int name(int) ;"),
        ("int name() const LOCKS(mutex_) override {", "int name() const override {"),
        ("typedef int (CALL *name)(int);", "typedef int ( *name)(int);"),
        ("typedef int (CALLP name)(int);", "typedef int ( name)(int);"),
        ("BEGIN_NAMESPACE\nnamespace a {", "namespace a {"),
        ("{\n Q_OBJECT\n public:", "{ public:"),
        ("DECLARE(x)\n\nint name(void);", "int name(void);"),
        ("END_DECLS\n#endif", "#endif"),
        ("if (\n}\nAPI int name(int);", "if (\n}\nint name(int);"),
    ] {
        let expected = expected.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(left(source, false), expected, "{source}");
    }
}

#[test]
fn what_may_be_a_type_or_a_name_stays() {
    for source in [
        "struct FILE_S file;",
        "struct FOO bar(int a) {",
        "enum KIND {",
        "class NAME : public BASE {",
        "class FINAL final {",
        "FILE *open(int a);",
        "static BOOL name(int a) {",
        "const HRESULT name(int a);",
        "static __inline__ __u8 name(int a) {",
        "const struct other __user *name(int a);",
        "std::__detail::type name(int a);",
        "HRESULT\nname(int a) {",
        "STACK_OF(X) *name(int a);",
        "std::vector<ITEM> name(int a);",
        "ITEM Type::name(int a) {",
        "int kernighan(a) BOOL a; {",
        "return FLAG(a);",
        "if (a) FREE(b);",
        "int a = MAX(b, c);",
        "f(a,\n  NULL\n);",
        "int name(int) __asm__(\"other\");",
        "#define EXPORT class NAME Other {",
        "typedef int (*CALL)(int);",
        "// class EXPORT Name {\n\"class EXPORT Name {\"",
    ] {
        assert_eq!(masked(source, false), source);
    }
}

#[test]
fn of_branches_that_are_part_of_a_statement_the_first_stays() {
    let braces = "int f() {\n#if A\nif (a) {\n#elif B\nif (b) {\n#else\nif (c) {\n#endif\n}\n}\nint g();";
    assert_eq!(left(braces, true), "int f() { if (a) { } } int g();");
    let closing = "int f() {\nif (a) {\n#ifdef A\n} else {\n#endif\n}\n}";
    assert_eq!(left(closing, true), "int f() { if (a) { } else { } }");
    let header = "static int\n#ifdef A\nf(int a)\n#else\nf(void)\n#endif\n{ }";
    assert_eq!(left(header, true), "static int f(int a) { }");
    let nested = "int f() {\n#if A\n#if B\nif (b) {\n#else\nif (c) {\n#endif\n#else\n{\n#endif\n}\n}";
    assert_eq!(left(nested, true), "int f() { if (b) { } }");
}

#[test]
fn branches_of_whole_statements_stay() {
    for source in [
        "#ifdef A\nint f(void) { return 1; }\n#else\nint f(void) { return 2; }\n#endif",
        "#ifndef GUARD\n#define GUARD\nint f(void);\n#endif",
        "int f() {\nswitch (a) {\n#if A\ncase 1:\nbreak;\n#endif\n}\n}",
        "#else\n#endif\n#endif\nint f(void);",
        "#if A\nint f(void) {",
    ] {
        assert_eq!(masked(source, true), source);
    }
    let long = format!("int a[] = {{\n#if A\n{}\n#else\n1\n#endif\n}};", "1, ".repeat(300));
    assert_eq!(masked(&long, true), *long, "too long to be part of a statement");
}

#[test]
fn c_does_without_what_is_there_for_cpp() {
    let source =
        "#ifdef __cplusplus\nextern \"C\" {\n#endif\nint f(void);\n#if defined(__cplusplus)\n}\n#endif";
    assert_eq!(left(source, true), "#ifdef __cplusplus #endif int f(void); #if defined(__cplusplus) #endif");
    let either = "#ifdef __cplusplus\nnamespace a { int f(); }\n#else\nint g(void);\n#endif";
    assert_eq!(left(either, true), "#ifdef __cplusplus #else int g(void); #endif");
    let not = "#ifndef __cplusplus\nint f(void);\n#endif\n#if !defined(__cplusplus)\nint g(void);\n#endif";
    assert_eq!(masked(not, true), not);
}

#[test]
fn what_is_nested_or_never_closed_is_gone_through_once() {
    const MANY: usize = 200_000;
    for part in
        ["#if A\n{\n", "#if A\n#else\n}\n", "#ifdef __cplusplus\n", "[[", "((", "{", "class A ", "X\n"]
    {
        let source = part.repeat(MANY);
        assert_eq!(masked(&source, true).len(), source.len(), "{part}");
    }
    let closed = format!("{}{}", "#if A\n{\n#else\n".repeat(MANY), "#endif\n".repeat(MANY));
    assert_eq!(left(&closed, true), "{", "all but the first branch of the outermost");
}
