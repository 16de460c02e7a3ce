//! Where the archive's objects are: a folder or a bucket.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt as _, RetryConfig};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use crate::config::{ArchiveConfig, S3Config};

/// The most time for one writing or removal, tries included: a fraction of a lease.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most time for one try.
const TRY: Duration = Duration::from_secs(8);

/// Why an object is not as it should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum Away {
    #[error("there is no archive")]
    None,
    #[error("the archive's folder cannot be made")]
    Folder(#[from] std::io::Error),
    #[error("the object store")]
    Store(#[from] object_store::Error),
    #[error("the object store did not answer in time")]
    Late,
}

/// An open place.
#[derive(Clone, Debug)]
pub(super) struct Place {
    store: Arc<dyn ObjectStore>,
    /// A removal may be undone by a loss of power: what is removed is emptied before.
    empties: bool,
}

impl Place {
    /// Opens it. A folder is made where it is missing; of a bucket nothing is asked yet.
    pub(super) fn open(config: &ArchiveConfig) -> Result<Self, Away> {
        let store: Arc<dyn ObjectStore> = match config {
            ArchiveConfig::Folder(folder) => Arc::new(open_folder(folder)?),
            ArchiveConfig::S3(s3) if s3.prefix.is_empty() => Arc::new(s3_builder(s3).build()?),
            ArchiveConfig::S3(s3) => {
                Arc::new(PrefixStore::new(s3_builder(s3).build()?, Path::from(s3.prefix.as_str())))
            }
        };
        Ok(Self { store, empties: matches!(config, ArchiveConfig::Folder(_)) })
    }

    /// Makes an object hold this, and nothing else; one that holds nothing is removed.
    pub(super) async fn put(&self, day: Date, object: Uuid, bytes: Vec<u8>) -> Result<(), Away> {
        let path = Path::from(format!("labels/v1/date={day}/{object}.jsonl"));
        let done = async {
            let removed = bytes.is_empty();
            if !removed || self.empties {
                self.store.put(&path, bytes.into()).await?;
            }
            if !removed {
                return Ok(());
            }
            match self.store.delete(&path).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                done => done,
            }
        };
        Ok(tokio::time::timeout(PATIENCE, done).await.map_err(|_| Away::Late)??)
    }
}

/// A folder for the service alone. What is written is on disk when that is said.
fn open_folder(folder: &FilePath) -> Result<LocalFileSystem, Away> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    Ok(LocalFileSystem::new_with_prefix(folder)?.with_fsync(true))
}

fn s3_builder(s3: &S3Config) -> AmazonS3Builder {
    let options = ClientOptions::new()
        .with_timeout(TRY)
        .with_connect_timeout(Duration::from_secs(2))
        .with_allow_http(s3.allow_http);
    // The archiver has a patience of its own; here only what passes in a moment is bridged.
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(50),
        max_backoff: Duration::from_millis(500),
        base: 2.0,
    };
    let retry = RetryConfig { backoff, max_retries: 2, retry_timeout: PATIENCE };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&s3.bucket)
        .with_region(&s3.region)
        .with_client_options(options)
        .with_retry(retry)
        // Not every store that is like S3 knows the removal of many at once.
        .with_disable_bulk_delete(true);
    if let Some(endpoint) = &s3.endpoint {
        builder = builder.with_endpoint(endpoint).with_virtual_hosted_style_request(false);
    }
    if let Some((key, secret)) = &s3.keys {
        builder = builder.with_access_key_id(key).with_secret_access_key(secret.expose_secret());
    }
    builder
}
