//! An endpoint that speaks OpenAI's embeddings API: Ollama, llama.cpp, TEI, LM Studio, vLLM, OpenAI.
//!
//! What always holds:
//! - a vector belongs to its text alone: which texts were asked for beside it changes nothing;
//! - what leaves here was checked (see `wire`), so a server that lies makes an error, not a bad store;
//! - the key goes to the endpoint and nowhere else: not into a store, a message, or `Debug`;
//! - a call ends: attempts, their time, the answer's length and the wait in between are bounded.
//!
//! Calls beside one another are the caller's business: see [`Embedder::concurrency`].

mod http;
mod key;
mod retry;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use codegraph_vector::{EmbedderId, Error, Result};
use codegraph_vector_base::{Random, SystemRandom};

use super::{Embedder, NodeText};
use http::Endpoint;
use retry::{Failure, Policy, Retry, Sleep, ThreadSleep};

/// Names the base URL of an endpoint that may be asked although only a store names it.
const URL_VARIABLE: &str = "CGV_OPENAI_URL";

/// How often a text that is too long is cut in half.
const MAX_CUTS: usize = 3;

/// What bounds the talk with an endpoint.
#[derive(Clone, Debug)]
struct Limits {
    /// Most texts in a call. TEI takes no more unless told to.
    batch: usize,
    /// Most characters in a call of more than one text.
    batch_chars: usize,
    /// Most characters of a text. What models take in is mostly less than that, or much more.
    text_chars: usize,
    /// Most calls at the same time.
    concurrency: usize,
    /// Time to find the host, and time to get through to it.
    connect_timeout: Duration,
    /// Time for a whole call.
    call_timeout: Duration,
    /// Most bytes of an answer.
    max_body_bytes: u64,
    /// Trying again.
    retry: Policy,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch: 32,
            batch_chars: 100_000,
            text_chars: 6_000,
            concurrency: 4,
            connect_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(60),
            max_body_bytes: 64 << 20,
            retry: Policy::default(),
        }
    }
}

/// Refuses an endpoint that only a store names, and neither its address nor the environment vouches for: the store
/// may have come with somebody else's repository, and what is searched for and indexed would go there, with the key.
///
/// # Errors
/// `InvalidInput`, with what to do.
pub(super) fn check_recorded(url: &str, variable: impl Fn(&str) -> Option<String>) -> Result<()> {
    let base = |url: &str| url.trim().trim_end_matches('/').to_owned();
    let is_known = url.parse().is_ok_and(|uri| key::is_known(&uri));
    if is_known || variable(URL_VARIABLE).is_some_and(|vouched| base(&vouched) == base(url)) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the store has its vectors made at {url}, and nothing is sent to an endpoint elsewhere that only a store \
         names, for somebody else may have made it; if you know it, set {URL_VARIABLE}={url}"
    )))
}

/// The world around a client. A test brings its own.
struct Surroundings<'a> {
    /// Looks into the environment.
    variable: &'a dyn Fn(&str) -> Option<String>,
    random: Arc<dyn Random>,
    sleep: Arc<dyn Sleep>,
}

/// A model behind an endpoint.
#[derive(Debug)]
pub(super) struct OpenAi {
    endpoint: Endpoint,
    model: String,
    dimension: usize,
    limits: Limits,
    retry: Retry,
}

impl OpenAi {
    /// A client for `model` at `url`, the base of the API. Unless its dimension is known, the model is asked
    /// for a vector to learn it.
    ///
    /// # Errors
    /// Whatever the endpoint has against it; `InvalidInput` if its answers cannot be used.
    pub(super) fn open(url: &str, model: &str, dimension: Option<usize>) -> Result<Self> {
        let surroundings = Surroundings {
            variable: &|name| std::env::var(name).ok(),
            random: Arc::new(SystemRandom),
            sleep: Arc::new(ThreadSleep),
        };
        Self::with(url, model, dimension, Limits::default(), surroundings)
    }

    fn with(
        url: &str,
        model: &str,
        dimension: Option<usize>,
        limits: Limits,
        surroundings: Surroundings<'_>,
    ) -> Result<Self> {
        let endpoint = Endpoint::new(url, &limits, surroundings.variable)?;
        let Surroundings { random, sleep, .. } = surroundings;
        let retry = Retry { policy: limits.retry.clone(), random, sleep };
        let mut client = Self { endpoint, model: model.to_owned(), dimension: 0, limits, retry };
        client.dimension = match dimension {
            Some(dimension) => dimension,
            None => client.ask(&["dimension"], None)?.swap_remove(0).len(),
        };
        Ok(client)
    }

    /// Who makes the vectors of `model`. Neither the URL nor how long texts may be is part of it: the same
    /// model is served elsewhere tomorrow, and vectors of a text cut elsewhere can still be compared.
    pub(super) fn id_of(model: &str) -> EmbedderId {
        EmbedderId { name: "openai".to_owned(), version: model.to_owned(), parameters: String::new() }
    }

    /// The vectors of texts, in order, in as many calls as it takes.
    fn embed_texts(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let mut vectors = Vec::with_capacity(texts.len());
        let mut rest = texts;
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(self.batch_of(rest));
            self.embed_batch(batch, &mut vectors)?;
            rest = later;
        }
        Ok(vectors)
    }

    /// How many of the first texts go into one call: at least one.
    fn batch_of(&self, texts: &[&str]) -> usize {
        let mut chars = 0;
        let fits = texts.iter().take(self.limits.batch).take_while(|text| {
            chars += text.chars().count();
            chars <= self.limits.batch_chars
        });
        fits.count().max(1)
    }

    /// One call; more if the endpoint finds that too much.
    fn embed_batch(&self, texts: &[&str], vectors: &mut Vec<Vec<f32>>) -> Result<()> {
        match self.ask(texts, Some(self.dimension)) {
            Ok(found) => vectors.extend(found),
            Err(Failure::TooLarge(_)) if texts.len() > 1 => {
                let (left, right) = texts.split_at(texts.len() / 2);
                self.embed_batch(left, vectors)?;
                self.embed_batch(right, vectors)?;
            }
            Err(Failure::TooLarge(error)) => vectors.push(self.embed_beginning(texts[0], error)?),
            Err(failure) => return Err(failure.into()),
        }
        Ok(())
    }

    /// The vector of as much of a text as the endpoint takes; the whole of it was too long.
    fn embed_beginning(&self, text: &str, mut error: Error) -> Result<Vec<f32>> {
        let mut text = text;
        for _ in 0..MAX_CUTS {
            text = first_half(text);
            match self.ask(&[text], Some(self.dimension)) {
                Ok(mut found) => return Ok(found.swap_remove(0)),
                Err(Failure::TooLarge(again)) => error = again,
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(error.context(format_args!("even {} characters are too many", text.chars().count())))
    }

    /// One call, tried again while that may help.
    fn ask(&self, texts: &[&str], dimension: Option<usize>) -> Result<Vec<Vec<f32>>, Failure> {
        let request = wire::request(&self.model, texts);
        let body = self.retry.run(|| self.endpoint.post(&request))?;
        wire::vectors(&body, texts.len(), dimension)
            .map_err(|what| Failure::Final(self.endpoint.bad_answer(&what)))
    }
}

/// The first half of a text's characters, but one at least.
fn first_half(text: &str) -> &str {
    let half = (text.chars().count() / 2).max(1);
    text.char_indices().nth(half).map_or(text, |(end, _)| &text[..end])
}

impl Embedder for OpenAi {
    fn id(&self) -> EmbedderId {
        Self::id_of(&self.model)
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn batch(&self) -> usize {
        self.limits.batch
    }

    fn concurrency(&self) -> usize {
        self.limits.concurrency
    }

    fn embed_nodes(&self, nodes: &[NodeText<'_>]) -> Result<Vec<Vec<f32>>> {
        let texts: Vec<String> = nodes.iter().map(|node| node.render(self.limits.text_chars)).collect();
        self.embed_texts(&texts.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn embed_query(&self, text: &str) -> Result<Vec<f32>> {
        if text.trim().is_empty() {
            return Err(Error::invalid("there is nothing to search for in an empty text"));
        }
        let end = text.char_indices().nth(self.limits.text_chars).map_or(text.len(), |(end, _)| end);
        Ok(self.embed_texts(&[&text[..end]])?.swap_remove(0))
    }
}

#[cfg(test)]
mod stub;
#[cfg(test)]
#[path = "openai_tests.rs"]
mod tests;
