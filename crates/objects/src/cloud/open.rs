//! From a URL to the service behind it.
//!
//! Credentials and settings are those of the environment, by the names that each cloud's own tools use; a URL that has some is not
//! repeated to anybody.

use std::sync::{Arc, Once};

use codegraph_vector_base::{Error, ErrorKind, Result};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::ClientConfigKey;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};
use url::Url;

use super::TargetOptions;
use super::failure::Failure;

/// Waits between retries grow to so many of the first.
const MOST_WAITS: u32 = 100;
/// A request is not made again later than so many time-outs after it was made first.
const TIMEOUTS: u32 = 3;

/// A service, and what of it is ours.
pub(super) struct Opened {
    pub(super) store: Arc<dyn ObjectStore>,
    /// Where our names begin.
    pub(super) root: Path,
    /// For people.
    pub(super) url: String,
    /// Whether it takes objects, and lists them.
    pub(super) is_writable: bool,
}

/// The service that a URL names.
///
/// # Errors
/// `InvalidInput` for a URL that is none, has a query, or lacks what the service needs; `Unsupported` for another scheme.
pub(super) fn open(text: &str, options: &TargetOptions) -> Result<Opened> {
    let bad = |why: String| Error::invalid(format!("this URL is no place for backups: {why}"));
    let url = Url::parse(text).map_err(|error| bad(error.to_string()))?;
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
        return Err(bad(format!("{}:// lacks a bucket, container or host", url.scheme())));
    };
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("it has a query; credentials come from the environment".to_owned()));
    }
    let root = Path::from_url_path(url.path()).map_err(|error| bad(error.to_string()))?;
    let shown =
        format!("{}://{host}{}", url.scheme(), url.port().map(|port| format!(":{port}")).unwrap_or_default());
    use_ring();
    let built = match url.scheme() {
        "s3" => s3(host, options),
        "gs" => gcs(host, options),
        "az" => azure(host, options),
        "http" | "https" => http(&url, options),
        scheme => {
            let message = format!(
                "{scheme}:// is no place for backups; a folder is, or s3://, gs://, az:// or https://"
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    };
    let store = built.map_err(|error| {
        let message = Failure::from(error).explain(&format!("use {shown}"));
        message.as_kind(ErrorKind::InvalidInput)
    })?;
    let url_of_root = format!("{shown}/{root}").trim_end_matches('/').to_owned();
    let is_writable = !matches!(url.scheme(), "http" | "https");
    Ok(Opened { store, root, url: url_of_root, is_writable })
}

/// The TLS of the process, unless it has chosen.
fn use_ring() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

type Built = object_store::Result<Arc<dyn ObjectStore>>;

fn s3(bucket: &str, options: &TargetOptions) -> Built {
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    for (key, value) in client_settings(options) {
        builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
    }
    for (key, value) in &options.settings {
        builder = builder.with_config(key.parse()?, value);
    }
    // One object at a time, in order; and not all that speak S3 delete by list.
    let builder = builder.with_disable_bulk_delete(true).with_retry(retries(options));
    Ok(Arc::new(builder.build()?))
}

fn gcs(bucket: &str, options: &TargetOptions) -> Built {
    let mut builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
    for (key, value) in client_settings(options) {
        builder = builder.with_config(GoogleConfigKey::Client(key), value);
    }
    for (key, value) in &options.settings {
        builder = builder.with_config(key.parse()?, value);
    }
    Ok(Arc::new(builder.with_retry(retries(options)).build()?))
}

fn azure(container: &str, options: &TargetOptions) -> Built {
    let mut builder = MicrosoftAzureBuilder::from_env().with_container_name(container);
    for (key, value) in client_settings(options) {
        builder = builder.with_config(AzureConfigKey::Client(key), value);
    }
    for (key, value) in &options.settings {
        builder = builder.with_config(key.parse()?, value);
    }
    Ok(Arc::new(builder.with_retry(retries(options)).build()?))
}

fn http(url: &Url, options: &TargetOptions) -> Built {
    let mut origin = url.clone();
    origin.set_path("");
    let mut builder = HttpBuilder::new().with_url(origin);
    for (key, value) in client_settings(options) {
        builder = builder.with_config(key, value);
    }
    let is_plain = (url.scheme() == "http").to_string();
    let builder = builder.with_config(ClientConfigKey::AllowHttp, is_plain);
    Ok(Arc::new(builder.with_retry(retries(options)).build()?))
}

fn client_settings(options: &TargetOptions) -> [(ClientConfigKey, String); 3] {
    let timeout = format!("{} ms", options.timeout.as_millis());
    [
        (ClientConfigKey::Timeout, timeout.clone()),
        (ClientConfigKey::ConnectTimeout, timeout),
        (ClientConfigKey::UserAgent, concat!("codegraph-vector/", env!("CARGO_PKG_VERSION")).to_owned()),
    ]
}

fn retries(options: &TargetOptions) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: options.first_wait,
            max_backoff: options.first_wait * MOST_WAITS,
            base: 2.0,
        },
        max_retries: options.retries as usize,
        retry_timeout: options.timeout * TIMEOUTS,
    }
}
