//! What goes over the wire: requests, answers, and the words in which a server says no.
//!
//! An answer is believed only if it holds exactly one vector for each text, all of one length, finite and not
//! zero. Fields that are not needed are passed over.

use codegraph_vector_base::limits::MAX_DIMENSION;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest message of a server that is passed on, in characters.
const MAX_MESSAGE_CHARS: usize = 300;

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: &'a [&'a str],
    encoding_format: &'static str,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    index: Option<usize>,
    embedding: Vec<Number>,
}

/// JSON has no NaN: servers that have computed one write `null`.
#[derive(Deserialize)]
#[serde(from = "Option<f64>")]
struct Number(f32);

impl From<Option<f64>> for Number {
    fn from(number: Option<f64>) -> Self {
        Self(number.map_or(f32::NAN, |number| number as f32))
    }
}

/// The body of a request for the vectors of `texts`.
pub(super) fn request(model: &str, texts: &[&str]) -> Vec<u8> {
    let request = Request { model, input: texts, encoding_format: "float" };
    serde_json::to_vec(&request).expect("strings are always JSON")
}

/// The vectors in an answer, in order of the texts. `dimension`: what they must have, if that is known.
/// The error is a sentence about the answer.
pub(super) fn vectors(body: &[u8], texts: usize, dimension: Option<usize>) -> Result<Vec<Vec<f32>>, String> {
    let answer: Answer = serde_json::from_slice(body).map_err(|error| {
        let start = message(body);
        format!("it is not what the embeddings API says ({}): {start}", printable(&error.to_string()))
    })?;
    let found = answer.data.len();
    if found != texts {
        return Err(format!("it has {found} vectors for {texts} texts"));
    }
    let mut vectors: Vec<Vec<f32>> = Vec::new();
    vectors.resize_with(texts, Vec::new);
    let mut dimension = dimension;
    let ordered = answer.data.iter().all(|entry| entry.index.is_none());
    for (place, entry) in answer.data.into_iter().enumerate() {
        let place = if ordered { Some(place) } else { entry.index };
        let slot = place.and_then(|place| vectors.get_mut(place)).filter(|slot| slot.is_empty());
        let Some(slot) = slot else {
            return Err("its vectors are not numbered from 0 on, each once".to_owned());
        };
        let vector: Vec<f32> = entry.embedding.into_iter().map(|Number(number)| number).collect();
        check(&vector, *dimension.get_or_insert(vector.len()))?;
        *slot = vector;
    }
    Ok(vectors)
}

fn check(vector: &[f32], dimension: usize) -> Result<(), String> {
    if vector.len() != dimension {
        return Err(format!("it has a vector of {} dimensions, not of {dimension}", vector.len()));
    }
    if !(1..=MAX_DIMENSION).contains(&dimension) {
        return Err(format!("it has vectors of {dimension} dimensions; 1 to {MAX_DIMENSION} can be stored"));
    }
    if !vector.iter().all(|number| number.is_finite()) {
        return Err("it has a vector with something in it that is no finite number".to_owned());
    }
    let square: f32 = vector.iter().map(|number| number * number).sum();
    if !square.is_normal() {
        return Err("it has a vector whose length is zero, or too great".to_owned());
    }
    Ok(())
}

/// What a server says about its failure, as one short line.
pub(super) fn message(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    if text.trim_start().starts_with('<') {
        return "(an HTML page)".to_owned();
    }
    match serde_json::from_str::<Value>(&text).ok().as_ref().and_then(sentence) {
        Some(sentence) => printable(sentence),
        None if text.trim().is_empty() => "(nothing)".to_owned(),
        None => printable(&text),
    }
}

/// The sentence in an error's JSON, wherever the server puts it.
fn sentence(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        Value::Object(fields) => ["error", "message", "detail", "msg"]
            .into_iter()
            .find_map(|name| fields.get(name).and_then(sentence)),
        Value::Array(values) => values.iter().find_map(sentence),
        _ => None,
    }
}

/// One line without control characters. Not shortened: a secret in it must be found whole first.
fn printable(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() || is_format(c) { ' ' } else { c });
    plain.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Invisible marks that turn the direction of text around, or hide in it.
fn is_format(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The beginning of a message, where it is long.
pub(super) fn shorten(message: &str) -> String {
    match message.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

/// Whether a server's refusal means that the texts were too many or too long: there is no code for it that all use.
pub(super) fn says_too_large(status: u16, message: &str) -> bool {
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    match status {
        413 => true,
        400 | 422 => says(&[
            "too long",
            "too large",
            "too many tokens",
            "too many inputs",
            "batch size",
            "context length",
            "context size",
            "context window",
            "maximum input length",
            "tokens per request",
            "must have less than",
        ]),
        // OpenAI: more than the limit of a minute, so waiting does not help.
        429 => says(&["request too large"]),
        // llama.cpp, Ollama.
        500 => says(&["too large to process", "context length"]),
        _ => false,
    }
}
