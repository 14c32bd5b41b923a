//! How an embedder is named on a command line and in a store.
//!
//! What always holds: what is parsed prints as something that parses the same; nothing secret is in a name, so
//! that a store may keep it. Whether two embedders make the same vectors is not for names to say but for
//! [`codegraph_vector::EmbedderId`]: the same model may be served elsewhere tomorrow.

use std::fmt;
use std::str::FromStr;

use codegraph_vector::{Error, ErrorKind, PersistentVectorStore, Result};
use ureq::http::Uri;

use super::Embedder;
use super::lexical::LexicalEmbedder;
use super::model2vec::Model2Vec;
use super::openai::{self, OpenAi};

/// The store's property that says what it was indexed with.
const PROPERTY: &str = "index.embedder";

/// The forms that there are, for messages.
const FORMS: &str = "there are `lexical`, `openai:URL,MODEL` and `model2vec:DIR`";

/// Which embedder: `lexical`, `openai:URL,MODEL` or `model2vec:DIR`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EmbedderSpec {
    /// The built-in one: no network, no model.
    #[default]
    Lexical,
    /// An endpoint that speaks OpenAI's embeddings API.
    OpenAi {
        /// The base, such as `http://localhost:11434/v1`.
        url: String,
        /// The model that it is asked for.
        model: String,
    },
    /// A static model on disk.
    Model2Vec {
        /// The folder with its files.
        folder: String,
    },
}

impl EmbedderSpec {
    /// What a store was indexed with. `None` if it was not indexed. [`Self::check_recorded`] before it is opened.
    ///
    /// # Errors
    /// Whatever the store fails with; `Unsupported` if this version does not know it.
    pub fn of_store(store: &PersistentVectorStore) -> Result<Option<Self>> {
        let Some(text) = store.property(PROPERTY)? else { return Ok(None) };
        let spec = text.parse::<Self>().map_err(|error| {
            error.as_kind(ErrorKind::Unsupported).context("this version does not know the store's embedder")
        })?;
        Ok(Some(spec))
    }

    /// Refuses what only a store names and nobody vouches for: an endpoint on another machine that is not in the
    /// environment variable `CGV_OPENAI_URL`. Stores come with repositories of other people.
    ///
    /// # Errors
    /// `InvalidInput`, with what to do.
    pub fn check_recorded(&self) -> Result<()> {
        match self {
            Self::OpenAi { url, .. } => openai::check_recorded(url, |name| std::env::var(name).ok()),
            Self::Lexical | Self::Model2Vec { .. } => Ok(()),
        }
    }

    /// Has the store remember that it is indexed with this one; a folder is remembered by its absolute path.
    ///
    /// # Errors
    /// Whatever the store fails with; `Io` if there is no current folder to make a path absolute by.
    pub fn record(&self, store: &PersistentVectorStore) -> Result<()> {
        let text = self.lasting()?.to_string();
        if store.property(PROPERTY)?.as_ref() != Some(&text) {
            store.set_property(PROPERTY, Some(&text))?;
        }
        Ok(())
    }

    /// The same embedder, named so that it is found from any current folder.
    fn lasting(&self) -> Result<Self> {
        let Self::Model2Vec { folder } = self else { return Ok(self.clone()) };
        let absolute = std::path::absolute(folder).map_err(|error| Error::io("find", folder, error))?;
        let folder = absolute.into_os_string().into_string();
        let folder = folder.map_err(|_| Error::invalid("the model's path is not UTF-8"))?;
        Ok(Self::Model2Vec { folder })
    }

    /// Makes the embedder ready. `store`, where there is one, has the statistics that questions are weighed with.
    ///
    /// # Errors
    /// Whatever is wrong with the model or the endpoint; `Unsupported` if it needs what is not built in.
    pub fn open(&self, store: Option<&PersistentVectorStore>) -> Result<Box<dyn Embedder>> {
        Ok(match self {
            Self::Lexical => Box::new(LexicalEmbedder::open(store)?),
            Self::OpenAi { url, model } => {
                // What a store of this model says need not be asked for: it is checked with each answer.
                let known = store
                    .map(PersistentVectorStore::storage_header)
                    .filter(|header| header.embedder.as_ref() == Some(&OpenAi::id_of(model)))
                    .map(|header| header.dimension);
                Box::new(OpenAi::open(url, model, known)?)
            }
            Self::Model2Vec { folder } => Box::new(Model2Vec::open(folder)?),
        })
    }
}

impl fmt::Display for EmbedderSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lexical => out.write_str("lexical"),
            Self::OpenAi { url, model } => write!(out, "openai:{url},{model}"),
            Self::Model2Vec { folder } => write!(out, "model2vec:{folder}"),
        }
    }
}

impl FromStr for EmbedderSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        // What follows the form is not repeated in messages: it may hold a password.
        let (form, rest) = match text.split_once(':') {
            Some((form, rest)) => (form, Some(rest)),
            None => (text, None),
        };
        match (form, rest) {
            ("lexical", None) => Ok(Self::Lexical),
            ("lexical", Some(_)) => Err(Error::invalid("`lexical` takes nothing after it")),
            ("openai", rest) => parse_openai(rest.unwrap_or_default()),
            ("model2vec", Some(folder)) if !folder.is_empty() => {
                Ok(Self::Model2Vec { folder: folder.to_owned() })
            }
            ("model2vec", _) => Err(Error::invalid("`model2vec` needs a folder: `model2vec:DIR`")),
            _ => Err(Error::invalid(format!("no embedder is called {form:?}; {FORMS}"))),
        }
    }
}

/// `URL,MODEL`. A comma ends the URL; the model may have more of them.
fn parse_openai(rest: &str) -> Result<EmbedderSpec> {
    let (url, model) = rest.split_once(',').unwrap_or((rest, ""));
    if url.is_empty() {
        return Err(Error::invalid(
            "`openai` needs a URL and a model: `openai:URL,MODEL`, such as \
             `openai:http://localhost:11434/v1,nomic-embed-text`",
        ));
    }
    let url = parse_url(url)?;
    if model.trim() != model || model.is_empty() || model.contains(char::is_control) {
        return Err(Error::invalid(
            "`openai` needs a model after the URL: `openai:URL,MODEL`, without blanks around it",
        ));
    }
    Ok(EmbedderSpec::OpenAi { url, model: model.to_owned() })
}

/// The base of an endpoint: without a slash at its end, and without the `/embeddings` that is asked below it.
fn parse_url(url: &str) -> Result<String> {
    if url.contains('@') {
        return Err(Error::invalid(
            "a URL with a user or a password in it is not taken, for it would be stored; \
             put the key into the environment variable CGV_OPENAI_API_KEY",
        ));
    }
    if url.contains(['?', '#']) {
        return Err(Error::invalid(
            "the URL of an endpoint is its base alone, such as https://api.openai.com/v1, without ? or #; \
             a key goes into the environment variable CGV_OPENAI_API_KEY",
        ));
    }
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(Error::invalid("the URL of an endpoint begins with http:// or https://"));
    }
    let base = url.trim_end_matches('/');
    let base = base.strip_suffix("/embeddings").unwrap_or(base).trim_end_matches('/');
    let uri = base.parse::<Uri>().ok();
    let sound = uri.as_ref().and_then(Uri::authority).is_some_and(|authority| {
        let host = authority.host();
        !host.is_empty() && (host == authority.as_str() || authority.port_u16().is_some())
    });
    if !sound {
        return Err(Error::invalid("that is no URL; one looks like http://localhost:11434/v1"));
    }
    Ok(base.to_owned())
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;
