//! The keys of a mesh on one machine: one pair for each service, and the key that auth's own keys are encrypted under.
//! Kept in a file that only its owner reads, so that a restart finds what it wrote.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use petty_chassis::grpc::identity::generate_key;
use petty_chassis::types::Entropy;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::{GATEWAY, OPERATOR, RELAY, SERVICES};

/// The keys of a mesh.
#[derive(Serialize, Deserialize)]
pub struct Keys {
    private: BTreeMap<String, String>,
    public: BTreeMap<String, String>,
    encryption_key: String,
    demo_password: String,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Keys").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Keys {
    /// The keys in the file; made, and kept there, where there is none.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub fn load_or_make(path: &Path) -> anyhow::Result<Self> {
        let Some(mut keys) = Self::load(path)? else {
            let keys = Self::make()?;
            keys.write(path)?;
            return Ok(keys);
        };
        // A version before knew fewer.
        if keys.add_missing()? {
            keys.write(path)?;
        }
        Ok(keys)
    }

    /// The keys in the file; `None` where there is none.
    ///
    /// # Errors
    /// Where it cannot be read, or is no such file.
    pub fn load(path: &Path) -> anyhow::Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).with_context(|| {
                format!("{} is not a file of keys; move it away to have new ones made", path.display())
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    fn make() -> anyhow::Result<Self> {
        let mut keys = Self {
            private: BTreeMap::new(),
            public: BTreeMap::new(),
            encryption_key: STANDARD.encode(Entropy.bytes::<32>()),
            demo_password: Entropy.token::<18>(),
        };
        keys.add_missing()?;
        Ok(keys)
    }

    /// Makes the pairs that are not there; whether there were any.
    fn add_missing(&mut self) -> anyhow::Result<bool> {
        let mut added = false;
        for service in SERVICES.into_iter().chain([GATEWAY, OPERATOR, RELAY]) {
            if !self.private.contains_key(service) {
                let (secret, key) = generate_key()?;
                self.private.insert(service.to_owned(), secret.expose_secret().to_owned());
                self.public.insert(service.to_owned(), key);
                added = true;
            }
        }
        Ok(added)
    }

    /// Written whole beside the file first: a crash leaves the old state or the new one.
    fn write(&self, path: &Path) -> anyhow::Result<()> {
        let beside = path.with_extension("new");
        let _none = fs::remove_file(&beside);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        Ok(fs::rename(&beside, path)?)
    }

    /// A service's private key, PEM.
    ///
    /// # Errors
    /// Where the file has none for it.
    pub fn private(&self, service: &str) -> anyhow::Result<SecretString> {
        let key = self.private.get(service).with_context(|| format!("there is no key of {service}"))?;
        Ok(key.as_str().into())
    }

    /// Everybody's public keys, as `PETTY_SERVICE_KEYS` wants them.
    ///
    /// # Errors
    /// Never, in practice: a map of texts is JSON.
    pub fn public(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(&self.public)?)
    }

    /// What auth's signing keys are encrypted under.
    #[must_use]
    pub fn encryption_key(&self) -> SecretString {
        self.encryption_key.as_str().into()
    }

    /// The demo and staff accounts' passphrase.
    #[must_use]
    pub fn demo_password(&self) -> &str {
        &self.demo_password
    }
}
