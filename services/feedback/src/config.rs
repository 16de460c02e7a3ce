//! What the feedback service reads besides what every service does.

use std::path::PathBuf;
use std::str::FromStr;

use petty_chassis::FoundationConfig;
use petty_chassis::config::{Reader, Section};
use secrecy::SecretString;

/// The feedback service's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Database, Redis, events, tokens.
    pub foundation: FoundationConfig,
    /// Where the archive is; `None`: there is none, and what was said waits in the database until there is.
    pub archive: Option<ArchiveConfig>,
}

impl Section for Config {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (foundation, archive) = (FoundationConfig::read(reader), read_archive(reader));
        Some(Self { foundation: foundation?, archive })
    }
}

/// Where the archive is. It stays there: what an older place holds is neither moved nor erased.
#[derive(Clone, Debug)]
pub enum ArchiveConfig {
    /// A folder, made where it is missing: `PETTY_ARCHIVE_URL` as a path, or `file:///…`.
    Folder(PathBuf),
    /// A bucket of an S3-compatible store: `PETTY_ARCHIVE_URL` as `s3://bucket/prefix`.
    S3(S3Config),
}

/// A bucket.
#[derive(Clone, Debug)]
pub struct S3Config {
    /// Its name.
    pub bucket: String,
    /// What the objects' names begin with; may be empty.
    pub prefix: String,
    /// The store, where it is not AWS: `PETTY_ARCHIVE_S3_ENDPOINT`. Buckets are named in the path then.
    pub endpoint: Option<String>,
    /// `PETTY_ARCHIVE_S3_REGION`, default us-east-1.
    pub region: String,
    /// `PETTY_ARCHIVE_S3_ACCESS_KEY_ID` and `PETTY_ARCHIVE_S3_SECRET_ACCESS_KEY`; without them, the machine's own role.
    pub keys: Option<(String, SecretString)>,
    /// `PETTY_ARCHIVE_S3_ALLOW_HTTP`, default false: an endpoint without TLS may be used.
    pub allow_http: bool,
}

const URL: &str = "PETTY_ARCHIVE_URL";
const ENDPOINT: &str = "PETTY_ARCHIVE_S3_ENDPOINT";
const KEY: &str = "PETTY_ARCHIVE_S3_ACCESS_KEY_ID";
const SECRET: &str = "PETTY_ARCHIVE_S3_SECRET_ACCESS_KEY";

/// The archive's place. A fault keeps the configuration from being taken, so `None` is then as good as any.
fn read_archive(reader: &mut Reader<'_>) -> Option<ArchiveConfig> {
    match reader.optional::<Place>(URL)? {
        Place::Folder(folder) => Some(ArchiveConfig::Folder(folder)),
        Place::S3 { bucket, prefix } => {
            let (endpoint, allow_http) =
                (reader.optional::<String>(ENDPOINT), reader.or("PETTY_ARCHIVE_S3_ALLOW_HTTP", false));
            if let Some(endpoint) = &endpoint {
                if endpoint.starts_with("http://") && !allow_http {
                    reader.fault(
                        ENDPOINT,
                        "is without TLS; set PETTY_ARCHIVE_S3_ALLOW_HTTP=true if that is meant",
                    );
                } else if !endpoint.starts_with("https://") && !endpoint.starts_with("http://") {
                    reader.fault(ENDPOINT, "is no URL, e.g. https://minio.example:9000");
                }
            }
            let region = reader.or("PETTY_ARCHIVE_S3_REGION", "us-east-1".to_owned());
            let keys = match (reader.optional::<String>(KEY), reader.secret_optional(SECRET)) {
                (Some(key), Some(secret)) => Some((key, secret)),
                (None, None) => None,
                (Some(_), None) => {
                    reader.fault(SECRET, format!("is not set, but {KEY} is"));
                    None
                }
                (None, Some(_)) => {
                    reader.fault(KEY, format!("is not set, but {SECRET} is"));
                    None
                }
            };
            Some(ArchiveConfig::S3(S3Config { bucket, prefix, endpoint, region, keys, allow_http }))
        }
    }
}

/// What `PETTY_ARCHIVE_URL` says.
enum Place {
    Folder(PathBuf),
    S3 { bucket: String, prefix: String },
}

#[derive(Debug, thiserror::Error)]
#[error(
    "must be a folder, e.g. /var/lib/petty/archive or file:///var/lib/petty/archive, or a bucket, e.g. s3://bucket/prefix"
)]
struct NoPlace;

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        if let Some(path) = text.strip_prefix("file://") {
            return if path.starts_with('/') { Ok(Self::Folder(path.into())) } else { Err(NoPlace) };
        }
        let Some(rest) = text.strip_prefix("s3://") else {
            let is_path = !text.trim().is_empty() && !text.contains("://");
            return if is_path { Ok(Self::Folder(text.into())) } else { Err(NoPlace) };
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let named = (3..=63).contains(&bucket.len())
            && bucket
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte));
        let prefix = prefix.trim_matches('/');
        if !named || object_store::path::Path::parse(prefix).is_err() {
            return Err(NoPlace);
        }
        Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use petty_chassis::config::{Environment, Faults, load};
    use secrecy::ExposeSecret as _;

    use super::*;

    struct Archive(Option<ArchiveConfig>);

    impl Section for Archive {
        fn read(reader: &mut Reader<'_>) -> Option<Self> {
            Some(Self(read_archive(reader)))
        }
    }

    fn read(variables: &[(&str, &str)]) -> Result<Option<ArchiveConfig>, Faults> {
        let environment: Environment =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        load::<Archive>(&environment).map(|archive| archive.0)
    }

    #[test]
    fn without_a_url_there_is_no_archive() {
        assert!(read(&[]).unwrap().is_none());
    }

    #[test]
    fn a_folder_is_a_path_or_a_file_url() {
        for (url, folder) in [("/a/b", "/a/b"), ("file:///a/b", "/a/b"), ("archive", "archive")] {
            let Some(ArchiveConfig::Folder(found)) = read(&[(URL, url)]).unwrap() else { panic!("{url}") };
            assert_eq!(found, PathBuf::from(folder));
        }
    }

    #[test]
    fn a_bucket_has_a_prefix_and_settings_of_its_own() {
        let found = read(&[
            (URL, "s3://labels/petty/prod/"),
            (ENDPOINT, "http://127.0.0.1:9000"),
            ("PETTY_ARCHIVE_S3_ALLOW_HTTP", "true"),
            (KEY, "id"),
            (SECRET, "hidden"),
        ]);
        let Some(ArchiveConfig::S3(s3)) = found.unwrap() else { panic!("no bucket") };
        assert_eq!((s3.bucket.as_str(), s3.prefix.as_str()), ("labels", "petty/prod"));
        assert_eq!((s3.region.as_str(), s3.allow_http), ("us-east-1", true));
        let (key, secret) = s3.keys.as_ref().unwrap();
        assert_eq!((key.as_str(), secret.expose_secret()), ("id", "hidden"));
        assert!(!format!("{s3:?}").contains("hidden"));
        let Some(ArchiveConfig::S3(s3)) = read(&[(URL, "s3://labels")]).unwrap() else { panic!("no bucket") };
        assert_eq!((s3.prefix.as_str(), s3.keys.is_none()), ("", true));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (variables, named) in [
            (&[(URL, "gs://bucket")][..], URL),
            (&[(URL, "s3://")], URL),
            (&[(URL, "s3://Bad_Bucket")], URL),
            (&[(URL, "s3://bucket/a/../b")], URL),
            (&[(URL, "file://relative")], URL),
            (&[(URL, "s3://bucket"), (ENDPOINT, "http://127.0.0.1:9000")], ENDPOINT),
            (&[(URL, "s3://bucket"), (ENDPOINT, "minio:9000")], ENDPOINT),
            (&[(URL, "s3://bucket"), (KEY, "id")], SECRET),
            (&[(URL, "s3://bucket"), (SECRET, "hidden")], KEY),
        ] {
            let faults = read(variables).unwrap_err();
            let first = faults.iter().next().unwrap();
            assert!(first.starts_with(named) && !first.contains("hidden"), "{variables:?}: {faults}");
        }
    }
}
