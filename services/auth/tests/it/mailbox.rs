//! What was mailed, as files; and the tokens in it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::harness::Harness;

/// A directory that mail goes to; gone with the test.
pub(crate) struct Mailbox(tempfile::TempDir);

impl Mailbox {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> String {
        self.0.path().join("mail").to_str().unwrap().to_owned()
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries =
            std::fs::read_dir(self.path()).map(|entries| entries.map(|entry| entry.unwrap().path()));
        let mut files: Vec<PathBuf> = entries.map(Iterator::collect).unwrap_or_default();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
        files.sort();
        files
    }

    /// All mails, oldest first, once there are so many.
    pub(crate) async fn mails(&self, count: usize) -> Vec<String> {
        for _ in 0..200 {
            let files = self.files();
            if files.len() >= count {
                for file in &files {
                    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
                }
                return files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{} mails, not {count}", self.files().len());
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.files().len()
    }

    /// The newest of so many mails.
    pub(crate) async fn newest(&self, count: usize) -> String {
        self.mails(count).await.pop().unwrap()
    }
}

/// The token of a mail's link.
pub(crate) fn token(mail: &str) -> String {
    let (_, rest) = mail.split_once("#token=").unwrap_or_else(|| panic!("no link in {mail}"));
    rest.split(['\r', '\n']).next().unwrap().to_owned()
}

/// Nothing is left to be sent.
pub(crate) async fn all_sent(harness: &Harness) {
    for _ in 0..200 {
        if harness.value("SELECT count(*) FROM mails WHERE sealed IS NOT NULL").await == "0" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("mail is still waiting");
}
