use super::*;

/// Takes every text for the same.
struct Same;

impl Embedder for Same {
    fn id(&self) -> EmbedderId {
        EmbedderId { name: "same".to_owned(), version: "1".to_owned(), parameters: String::new() }
    }

    fn dimension(&self) -> usize {
        1
    }

    fn batch(&self) -> usize {
        7
    }

    fn concurrency(&self) -> usize {
        3
    }

    fn embed_nodes(&self, nodes: &[NodeText<'_>]) -> Result<Vec<Vec<f32>>> {
        Ok(vec![vec![1.0]; nodes.len()])
    }

    fn embed_query(&self, _text: &str) -> Result<Vec<f32>> {
        Ok(vec![1.0])
    }
}

#[test]
fn an_embedder_that_is_to_stop_fails_and_is_the_same_otherwise() {
    let stop = Arc::new(AtomicBool::new(false));
    let embedder = Stoppable { embedder: Box::new(Same), stop: stop.clone() };
    assert_eq!(embedder.id(), Same.id());
    assert_eq!((embedder.dimension(), embedder.batch(), embedder.concurrency()), (1, 7, 3));
    assert_eq!(embedder.embed_query("q").unwrap(), [1.0]);
    assert!(embedder.embed_nodes(&[]).is_ok());
    stop.store(true, Ordering::Relaxed);
    let error = embedder.embed_nodes(&[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(error.message().contains("cancelled"), "{error}");
}

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
