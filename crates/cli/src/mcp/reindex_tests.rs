use super::*;

#[test]
fn problems_are_told_as_far_as_they_fit() {
    let problem = |path: &str| Problem { path: path.to_owned(), reason: "is binary".to_owned() };
    let told = |problems: Vec<Problem>| {
        Reindexed::of(Path::new("/r"), IndexSummary { problems, ..IndexSummary::default() })
    };
    let few = told(vec![problem("a\x1b[31m.rs")]);
    assert_eq!((few.summary.problems.len(), few.problems_left_out), (1, 0));
    assert!(few.text().ends_with("\na␛[31m.rs is binary"), "{}", few.text());
    let many = told((0..30).map(|at| problem(&format!("{at}.rs"))).collect());
    assert_eq!((many.summary.problems.len(), many.problems_left_out), (MAX_PROBLEMS, 30 - MAX_PROBLEMS));
    assert!(many.text().ends_with("and 10 more that were left out"), "{}", many.text());
    let long = told(vec![problem(&"p".repeat(4000)); 9]);
    assert_eq!((long.summary.problems.len(), long.problems_left_out), (4, 5));
}
