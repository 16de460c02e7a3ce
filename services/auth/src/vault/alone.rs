//! What is sealed for no account: under a key of its own, which is wrapped beside it. For what is gone within a day, so that
//! a change of wrapping keys need not wrap it again: the key before stays in the ring that long.

use petty_chassis::types::AccountId;
use uuid::Uuid;

use super::{Error, Field, Vault};

impl Vault {
    /// Seals a text of one row, by the row's id.
    pub(crate) fn seal_alone(&self, row: Uuid, field: Field, text: &str) -> Result<Vec<u8>, Error> {
        let (key, kept) = self.new_key(AccountId(row))?;
        let length = u16::try_from(kept.wrapped.len()).map_err(|_| Error::Sealing)?;
        Ok([length.to_be_bytes().as_slice(), &kept.wrapped, &key.seal(field, text)?].concat())
    }

    /// Opens what [`Vault::seal_alone`] sealed.
    pub(crate) fn open_alone(&self, row: Uuid, field: Field, sealed: &[u8]) -> Result<String, Error> {
        let (length, rest) = sealed.split_first_chunk::<2>().ok_or(Error::Unopenable(field))?;
        let (wrapped, text) = rest
            .split_at_checked(usize::from(u16::from_be_bytes(*length)))
            .ok_or(Error::Unopenable(field))?;
        self.key(AccountId(row), wrapped)?.open(field, text)
    }
}
