//! BERT's tokenizer, which Model2Vec's models in English have: text is cleaned, split into words and signs, and
//! each word cut into the longest pieces that the vocabulary has.
//!
//! After `BertNormalizer`, `BertPreTokenizer` and `WordPiece` of <https://github.com/huggingface/tokenizers>. That
//! crate itself is not used: it brings some thirty others, one of them given up by its authors.

use std::collections::HashMap;

use codegraph_vector::{Error, ErrorKind, Result};
use serde::Deserialize;
use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory as _};

/// Largest token id: a model of more tokens would not fit into memory.
const MAX_TOKEN: u32 = 1 << 24;

/// `tokenizer.json`, as far as it matters.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    normalizer: Option<Normalizer>,
    pre_tokenizer: Option<Kind>,
    model: Model,
}

#[derive(Deserialize)]
struct AddedToken {
    content: String,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Normalizer {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    clean_text: bool,
    #[serde(default)]
    handle_chinese_chars: bool,
    strip_accents: Option<bool>,
    #[serde(default)]
    lowercase: bool,
}

/// The fields that kinds other than WordPiece lack, or have in another form, are looked at later.
#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    vocab: serde_json::Value,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    max_input_chars_per_word: Option<usize>,
}

/// Text into token ids.
pub(super) struct WordPiece {
    normalizer: Normalizer,
    /// Pieces that begin a word.
    first: HashMap<Box<str>, usize>,
    /// Pieces within a word, without the mark that they have in the vocabulary.
    later: HashMap<Box<str>, usize>,
    /// Bytes of the longest piece.
    longest: usize,
    unknown: usize,
    max_word_chars: usize,
    /// Tokens that stand for themselves wherever their text is, such as `[MASK]`; longest first.
    literal: Vec<(String, usize)>,
    /// Bytes of a middling token, by which Model2Vec guesses how long a text may be.
    median_bytes: usize,
    ids: usize,
}

impl WordPiece {
    /// Reads `tokenizer.json`.
    ///
    /// # Errors
    /// `Unsupported` if it is of another kind; `InvalidInput` if it is none.
    pub(super) fn parse(json: &[u8]) -> Result<Self> {
        let file: File = serde_json::from_slice(json).map_err(|error| Error::invalid(error.to_string()))?;
        let normalizer = file.normalizer.filter(|normalizer| normalizer.kind == "BertNormalizer");
        let split = file.pre_tokenizer.filter(|split| split.kind == "BertPreTokenizer");
        let (Some("WordPiece"), Some(normalizer), Some(_)) = (file.model.kind.as_deref(), normalizer, split)
        else {
            let what = format!(
                "only BERT's WordPiece tokenizers are supported (the models in English have them), \
                 and this is another one: {}",
                file.model.kind.as_deref().unwrap_or("it has no name")
            );
            return Err(Error::new(ErrorKind::Unsupported, what));
        };
        let vocabulary: HashMap<String, u32> =
            serde_json::from_value(file.model.vocab).map_err(|error| Error::invalid(error.to_string()))?;
        let Model { unk_token, continuing_subword_prefix, max_input_chars_per_word, .. } = file.model;
        let id = |token: &str| {
            let id = vocabulary.get(token).copied().filter(|&id| id <= MAX_TOKEN);
            let id = id.ok_or_else(|| Error::invalid(format!("{token:?} is not in the vocabulary")));
            id.map(|id| id as usize)
        };
        let unknown = id(unk_token.as_deref().unwrap_or("[UNK]"))?;
        // One that the vocabulary lacks has no row that is sure to be its own: its text is read as any other.
        let literal = file.added_tokens.into_iter().filter(|token| !token.content.is_empty());
        let mut literal: Vec<(String, usize)> =
            literal.filter_map(|token| id(&token.content).ok().map(|id| (token.content, id))).collect();
        literal.sort_by_key(|(content, _)| std::cmp::Reverse(content.len()));

        let prefix = continuing_subword_prefix.as_deref().unwrap_or("##");
        let (mut first, mut later) = (HashMap::new(), HashMap::new());
        let mut lengths = Vec::with_capacity(vocabulary.len());
        for token in vocabulary.keys() {
            let id = id(token)?;
            lengths.push(token.len());
            first.insert(token.as_str().into(), id);
            if let Some(piece) = token.strip_prefix(prefix) {
                later.insert(piece.into(), id);
            }
        }
        lengths.sort_unstable();
        Ok(Self {
            normalizer,
            first,
            later,
            longest: lengths.last().copied().unwrap_or(0),
            unknown,
            max_word_chars: max_input_chars_per_word.unwrap_or(100),
            literal,
            median_bytes: lengths.get(lengths.len() / 2).copied().unwrap_or(1).max(1),
            ids: vocabulary.values().max().map_or(0, |&id| id as usize + 1),
        })
    }

    /// One more than the largest id.
    pub(super) fn ids(&self) -> usize {
        self.ids
    }

    /// Tells `take` the ids of the first `max` tokens of a text, unknown ones left out but counted.
    pub(super) fn encode(&self, text: &str, max: usize, mut take: impl FnMut(usize)) {
        let end = text.char_indices().nth(max.saturating_mul(self.median_bytes));
        let text = end.map_or(text, |(end, _)| &text[..end]);
        let mut left = max;
        let mut pieces = Vec::new();
        self.for_each_word(text, |word| {
            pieces.clear();
            self.pieces_of(word, &mut pieces);
            let counted = &pieces[..pieces.len().min(left)];
            left -= counted.len();
            counted.iter().filter(|&&id| id != self.unknown).for_each(|&id| take(id));
        });
    }

    /// The words of a text in order; a literal token is given as its id.
    fn for_each_word(&self, text: &str, mut take: impl FnMut(Word<'_>)) {
        let mut from = 0;
        let mut place = 0;
        while place < text.len() {
            let rest = &text[place..];
            let literal = self.literal.iter().find(|(content, _)| rest.starts_with(content.as_str()));
            match literal {
                Some((content, id)) => {
                    split(&self.normalize(&text[from..place]), &mut take);
                    take(Word::Literal(*id));
                    place += content.len();
                    from = place;
                }
                None => place += rest.chars().next().map_or(1, char::len_utf8),
            }
        }
        split(&self.normalize(&text[from..]), &mut take);
    }

    /// The longest piece, then the longest of what is left; one unknown token if that does not come out even.
    fn pieces_of(&self, word: Word<'_>, pieces: &mut Vec<usize>) {
        let word = match word {
            Word::Literal(id) => return pieces.push(id),
            Word::Text(word) => word,
        };
        if word.chars().count() > self.max_word_chars {
            return pieces.push(self.unknown);
        }
        let mut rest = word;
        while !rest.is_empty() {
            let table = if rest.len() == word.len() { &self.first } else { &self.later };
            let ends = (1..=rest.len().min(self.longest)).rev().filter(|&end| rest.is_char_boundary(end));
            let found = ends.filter_map(|end| Some((end, *table.get(&rest[..end])?))).next();
            let Some((end, id)) = found else {
                pieces.clear();
                return pieces.push(self.unknown);
            };
            pieces.push(id);
            rest = &rest[end..];
        }
    }

    fn normalize(&self, text: &str) -> String {
        let Normalizer { clean_text, handle_chinese_chars, strip_accents, lowercase, .. } = self.normalizer;
        let clean = text.chars().filter_map(|c| match c {
            _ if !clean_text => Some(c),
            '\t' | '\n' | '\r' => Some(' '),
            '\0' | '\u{fffd}' => None,
            _ if c.is_ascii() => (!c.is_ascii_control()).then_some(c),
            _ if is_unprintable(c) => None,
            _ if c.is_whitespace() => Some(' '),
            _ => Some(c),
        });
        let spaced = clean.flat_map(|c| {
            let blank = (handle_chinese_chars && is_chinese(c)).then_some(' ');
            blank.into_iter().chain([c]).chain(blank)
        });
        let mut normal = String::with_capacity(text.len());
        let push = |c: char| if lowercase { normal.extend(c.to_lowercase()) } else { normal.push(c) };
        if strip_accents.unwrap_or(lowercase) && !text.is_ascii() {
            let is_accent = |c: &char| c.general_category() == GeneralCategory::NonspacingMark;
            spaced.nfd().filter(|c| !is_accent(c)).for_each(push);
        } else {
            spaced.for_each(push);
        }
        normal
    }
}

/// What a text is split into.
enum Word<'a> {
    Text(&'a str),
    Literal(usize),
}

/// Splits at blanks; a punctuation sign is a word of its own.
fn split(text: &str, take: &mut impl FnMut(Word<'_>)) {
    for part in text.split(char::is_whitespace) {
        let mut rest = part;
        while let Some(first) = rest.chars().next() {
            let end = if is_punctuation(first) {
                first.len_utf8()
            } else {
                rest.find(is_punctuation).unwrap_or(rest.len())
            };
            take(Word::Text(&rest[..end]));
            rest = &rest[end..];
        }
    }
}

fn is_unprintable(c: char) -> bool {
    use GeneralCategory::{Control, Format, PrivateUse};
    matches!(c.general_category(), Control | Format | PrivateUse)
}

fn is_punctuation(c: char) -> bool {
    let sign = c.is_ascii_punctuation();
    sign || !c.is_ascii() && c.general_category_group() == GeneralCategoryGroup::Punctuation
}

/// The blocks that BERT takes for Chinese: each of their signs is a word.
fn is_chinese(c: char) -> bool {
    matches!(c,
        '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}' | '\u{20000}'..='\u{2a6df}'
        | '\u{2a700}'..='\u{2b73f}' | '\u{2b740}'..='\u{2b81f}' | '\u{2b920}'..='\u{2ceaf}'
        | '\u{f900}'..='\u{faff}' | '\u{2f800}'..='\u{2fa1f}')
}
