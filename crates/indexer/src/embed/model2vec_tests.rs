//! A model of a few tokens, written by the test: what it makes of texts, and what is said of models that are none.
#![allow(clippy::disallowed_methods)] // The model is a folder of the test's own.

use std::path::Path;

use codegraph_vector::{ErrorKind, Result};
use half::f16;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Model2Vec;
use crate::embed::{Embedder, NodeText};
use crate::language::Language;
use crate::node::NodeKind;

const DIMENSION: usize = 8;
const TOKENS: [&str; 16] = [
    "[PAD]", "[UNK]", "open", "##s", "store", "##ing", "(", ")", "cafe", "漢", "a", "##b", "##bc", "zero",
    "[MASK]", "_",
];

fn tokenizer() -> Value {
    let vocabulary: serde_json::Map<String, Value> =
        TOKENS.iter().enumerate().map(|(id, token)| ((*token).to_owned(), json!(id))).collect();
    let added = |token: &str| {
        json!({"id": 0, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [added("[PAD]"), added("[UNK]"), added("[MASK]"), added("(store)")],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": null, "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocabulary},
    })
}

/// A row for each token: its own direction among the first seven, the last one by its id.
fn row(id: usize) -> [f32; DIMENSION] {
    let mut row = [0.0; DIMENSION];
    if TOKENS[id] != "zero" {
        row[id % 7] = 1.0;
        row[7] = id as f32;
    }
    row
}

/// A tensor: name, type, shape, bytes.
type Tensor = (&'static str, &'static str, Vec<usize>, Vec<u8>);

fn embeddings() -> Tensor {
    let bytes = (0..TOKENS.len()).flat_map(row).flat_map(f32::to_le_bytes).collect();
    ("embeddings", "F32", vec![TOKENS.len(), DIMENSION], bytes)
}

fn safetensors(tensors: &[Tensor]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    header.insert("__metadata__".to_owned(), json!({"format": "pt"}));
    for (name, dtype, shape, bytes) in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        header.insert((*name).to_owned(), json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}));
        data.extend(bytes);
    }
    let header = Value::Object(header).to_string().into_bytes();
    [(header.len() as u64).to_le_bytes().as_slice(), &header, &data].concat()
}

fn write(folder: &Path, tokenizer: &Value, model: &[u8], config: &str) {
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    std::fs::write(folder.join("model.safetensors"), model).unwrap();
    std::fs::write(folder.join("config.json"), config).unwrap();
}

fn open(tokenizer: &Value, tensors: &[Tensor], config: &str) -> Result<Model2Vec> {
    let folder = TempDir::new().unwrap();
    write(folder.path(), tokenizer, &safetensors(tensors), config);
    Model2Vec::open(folder.path())
}

/// The model as it is, its means not made unit vectors.
fn plain() -> Model2Vec {
    open(&tokenizer(), &[embeddings()], r#"{"normalize": false}"#).unwrap()
}

fn ids(model: &Model2Vec, text: &str) -> Vec<usize> {
    let mut ids = Vec::new();
    model.tokenizer.encode(text, 512, |id| ids.push(id));
    ids
}

fn names(text: &str) -> String {
    ids(&plain(), text).into_iter().map(|id| TOKENS[id]).collect::<Vec<_>>().join(" ")
}

#[test]
fn texts_are_cut_as_bert_cuts_them() {
    for (text, expected) in [
        ("open stores", "open store ##s"),
        ("OPENING\t(Stores)\n", "open ##ing ( store ##s )"),
        ("open_store", "open _ store"),
        ("Café cafe\u{301}", "cafe cafe"),
        ("a漢a", "a 漢 a"),
        ("abc ab abb", "a ##bc a ##b a ##b ##b"),
        ("openx xopen", ""),
        ("op\u{0}en sto\u{200b}re", "open store"),
        ("open[MASK]store", "open [MASK] store"),
        ("open\u{a0}store…", "open store"),
        ("", ""),
        (" \n", ""),
    ] {
        assert_eq!(names(text), expected, "{text:?}");
    }
}

#[test]
fn long_words_and_long_texts_end() {
    let model = plain();
    let word = |pieces: usize| format!("a{}", "b".repeat(pieces));
    assert_eq!(ids(&model, &word(99)).len(), 100);
    assert!(ids(&model, &word(100)).is_empty());
    assert_eq!(ids(&model, &"(".repeat(100_000)).len(), 512);
    // Unknown words are counted: what is beyond the 512th token is not read.
    assert_eq!(ids(&model, &format!("{}a", "x ".repeat(511))), [10]);
    assert!(ids(&model, &format!("{}a", "x ".repeat(512))).is_empty());
}

#[test]
fn a_text_s_vector_is_the_mean_of_its_tokens() {
    let model = plain();
    assert_eq!(model.dimension(), DIMENSION);
    let vector = model.embed_query("opens unknownword").unwrap();
    assert_eq!(vector, [0.0, 0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 2.5]);

    let unit = open(&tokenizer(), &[embeddings()], "{}").unwrap().embed_query("opens").unwrap();
    let norm = (0.25_f32 + 0.25 + 6.25).sqrt();
    for (found, expected) in unit.iter().zip(&vector) {
        assert!((found - expected / norm).abs() < 1e-6, "{unit:?}");
    }
}

#[test]
fn weights_mappings_and_other_types_of_numbers_are_understood() {
    let weights: Vec<u8> = (0..TOKENS.len()).flat_map(|id| (id as f64 / 2.0).to_le_bytes()).collect();
    let weights: Tensor = ("weights", "F64", vec![TOKENS.len()], weights);
    let mapping: Vec<u8> = (0..TOKENS.len()).flat_map(|id| ((id % 3) as i64).to_le_bytes()).collect();
    let mapping: Tensor = ("mapping", "I64", vec![TOKENS.len()], mapping);
    let three: Vec<f32> = (0..3).flat_map(row).collect();
    let halves: Vec<u8> = three.iter().flat_map(|&number| f16::from_f32(number).to_le_bytes()).collect();
    let bytes: Vec<u8> = three.iter().map(|&number| number as i8 as u8).collect();
    for table in [("0", "F16", vec![3, DIMENSION], halves), ("embeddings", "I8", vec![3, DIMENSION], bytes)] {
        let tensors = [weights.clone(), table, mapping.clone()];
        let model = open(&tokenizer(), &tensors, r#"{"normalize": false}"#).unwrap();
        // `store` is token 4: row 1, weight 2; `open` is token 2: row 2, weight 1.
        let vector = model.embed_query("open store").unwrap();
        assert_eq!(vector, [0.0, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0, 2.0]);
    }
}

fn node(name: &str) -> NodeText<'_> {
    NodeText {
        language: Language::Go,
        kind: NodeKind::Function,
        name,
        qualified_name: name,
        docs: String::new(),
        signature: name,
        body: String::new(),
    }
}

#[test]
fn nodes_without_a_known_word_are_stored_and_such_questions_refused() {
    let model = plain();
    let vectors = model.embed_nodes(&[node("open"), node("xyz"), node("zero")]).unwrap();
    assert!(vectors.iter().all(|vector| vector.iter().any(|&number| number != 0.0)), "{vectors:?}");
    assert!(vectors[0][2] > 0.0);
    for question in ["", "xyz", "zero"] {
        assert_eq!(model.embed_query(question).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn the_version_is_that_of_the_files() {
    let same = [plain().id(), plain().id()];
    assert_eq!(same[0], same[1]);
    assert_eq!((same[0].name.as_str(), same[0].version.len()), ("model2vec", 32));
    let unit = open(&tokenizer(), &[embeddings()], r#"{"normalize": true}"#).unwrap();
    assert_ne!(unit.id(), same[0]);
}

#[test]
fn what_is_no_model_is_refused_with_its_file() {
    let refusal = |tokenizer: &Value, tensors: &[Tensor], config: &str| {
        open(tokenizer, tensors, config).map(|_| ()).unwrap_err()
    };
    let mut unigram = tokenizer();
    unigram["model"] = json!({"type": "Unigram", "unk_id": 0, "vocab": [["a", -1.5]]});
    let error = refusal(&unigram, &[embeddings()], "{}");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error.to_string().contains("Unigram") && error.path().unwrap().ends_with("tokenizer.json"),
        "{error}"
    );
    let mut other_split = tokenizer();
    other_split["pre_tokenizer"] = json!({"type": "Whitespace"});
    assert_eq!(refusal(&other_split, &[embeddings()], "{}").kind(), ErrorKind::Unsupported);
    let mut no_unknown = tokenizer();
    no_unknown["model"]["unk_token"] = json!("[NONE]");
    assert!(refusal(&no_unknown, &[embeddings()], "{}").to_string().contains("[NONE]"));
    let mut huge = tokenizer();
    huge["model"]["vocab"]["open"] = json!(u32::MAX);
    assert_eq!(refusal(&huge, &[embeddings()], "{}").kind(), ErrorKind::InvalidInput);

    assert!(refusal(&tokenizer(), &[embeddings()], "none").path().unwrap().ends_with("config.json"));
    let (name, dtype, _, bytes) = embeddings();
    for (tensor, words) in [
        (("other", dtype, vec![16, 8], bytes.clone()), "no tensor called `embeddings`"),
        ((name, dtype, vec![128], bytes.clone()), "rows and columns"),
        ((name, dtype, vec![16, 9], bytes.clone()), "type and shape"),
        ((name, dtype, vec![usize::MAX, 8], bytes.clone()), "type and shape"),
        ((name, "BF16", vec![32, 8], bytes.clone()), "type and shape"),
        ((name, "I32", vec![16, 8], bytes.clone()), "type I32"),
        ((name, dtype, vec![128, 0], Vec::new()), "0 dimensions"),
        ((name, dtype, vec![8, 8], bytes[..256].to_vec()), "fewer than its tokenizer has"),
        ((name, dtype, vec![16, 8], f32::NAN.to_le_bytes().repeat(128)), "finite"),
    ] {
        let error = refusal(&tokenizer(), &[tensor], "{}");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(words), "{error}");
    }
    let folder = TempDir::new().unwrap();
    let error = Model2Vec::open(folder.path()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("tokenizer.json"), "{error}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(cut in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(), byte: u8) {
        let folder = TempDir::new().unwrap();
        let whole = safetensors(&[embeddings()]);
        let mut model = whole.clone();
        let place = place.index(model.len());
        model[place] = byte;
        write(folder.path(), &tokenizer(), &model, "{}");
        let _ = Model2Vec::open(folder.path()).map(|model| model.embed("open store"));
        write(folder.path(), &tokenizer(), &whole[..cut.index(whole.len())], "{}");
        prop_assert!(Model2Vec::open(folder.path()).is_err());
    }

    #[test]
    fn every_text_ends_in_known_tokens(text in "(open|STORE|[ab]{0,4}|s|ing|[( \\[\\]]|[MASK]|\\PC){0,40}") {
        let model = plain();
        let ids = ids(&model, &text);
        prop_assert!(ids.len() <= 512 && ids.iter().all(|&id| id < TOKENS.len() && TOKENS[id] != "[UNK]"));
    }
}
