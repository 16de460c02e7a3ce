//! `petty dlq`.

use std::str::FromStr;

use clap::{Args, Subcommand};

use super::OperatorArgs;
use crate::mesh::SERVICES;

/// `petty dlq`.
#[derive(Debug, Clone, Args)]
pub struct DlqArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub command: DlqCommand,
    /// Of which mesh.
    #[command(flatten)]
    pub operator: OperatorArgs,
}

/// What may be done with dead letters.
#[derive(Debug, Clone, Subcommand)]
pub enum DlqCommand {
    /// List them, the youngest first.
    List {
        /// Which ones.
        #[command(flatten)]
        which: Which,
        /// The most to list.
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        limit: u32,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show one: why it is here, and the outline of what it says.
    Show {
        /// SERVICE/EVENT/PET, as listed.
        letter: LetterId,
    },
    /// Have them handled again, in the order of their numbers.
    Redrive(Chosen),
    /// Give them up for good.
    Drop(Chosen),
}

/// Some dead letters.
#[derive(Debug, Clone, Args)]
pub struct Which {
    /// Only those of this consuming service.
    #[arg(long, value_name = "NAME", value_parser = service)]
    pub service: Option<String>,
    /// Only those of this topic.
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,
    /// Only those of this pet.
    #[arg(long, value_name = "ID")]
    pub pet: Option<String>,
}

/// Named ones, or all.
#[derive(Debug, Clone, Args)]
pub struct Chosen {
    /// SERVICE/EVENT/PET, as listed; several may be named.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub letters: Vec<LetterId>,
    /// All, or all that the other options leave.
    #[arg(long)]
    pub all: bool,
    /// Which ones.
    #[command(flatten)]
    pub which: Which,
}

/// What a dead letter is called here: SERVICE/EVENT/PET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterId {
    /// The service that could not handle it.
    pub service: String,
    /// The event.
    pub event_id: String,
    /// Whose part of it.
    pub pet_id: String,
}

impl FromStr for LetterId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let [name, event_id, pet_id] = parts[..] else {
            return Err("must be SERVICE/EVENT/PET, as `petty dlq list` has it".to_owned());
        };
        let (service, event_id, pet_id) = (service(name)?, event_id.to_owned(), pet_id.to_owned());
        Ok(Self { service, event_id, pet_id })
    }
}

impl std::fmt::Display for LetterId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}/{}", self.service, self.event_id, self.pet_id)
    }
}

pub(super) fn service(name: &str) -> Result<String, String> {
    if SERVICES.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(format!("must be one of {}", SERVICES.join(", ")))
}
