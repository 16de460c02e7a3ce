//! Which entries of a timeline are wanted.

use std::collections::BTreeSet;

use super::{Behavior, Kind};

/// Which entries are wanted: all where both are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) kinds: BTreeSet<Kind>,
    /// Where there are any, entries of other kinds are not wanted.
    pub(crate) behaviors: BTreeSet<Behavior>,
}

impl Filter {
    /// The list that is filtered so, of those of one pet: what its pages belong to.
    pub(crate) fn list(&self, pet: &str) -> String {
        let kinds: Vec<_> = self.kinds.iter().map(|kind| kind.slug()).collect();
        let behaviors: Vec<_> = self.behaviors.iter().map(|behavior| behavior.slug()).collect();
        format!("pets/{pet}/timeline?kinds={}&behaviors={}", kinds.join(","), behaviors.join(","))
    }

    /// The slugs of the kinds; `None`: all.
    pub(crate) fn kind_slugs(&self) -> Option<Vec<&'static str>> {
        (!self.kinds.is_empty()).then(|| self.kinds.iter().map(|kind| kind.slug()).collect())
    }

    /// The slugs of the behaviours; `None`: all.
    pub(crate) fn behavior_slugs(&self) -> Option<Vec<&'static str>> {
        (!self.behaviors.is_empty()).then(|| self.behaviors.iter().map(|behavior| behavior.slug()).collect())
    }
}
