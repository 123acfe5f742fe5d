//! Counts of the uses of a node.

/// Counts of the uses of a node, and the way in which it holds those that it depends on.
#[derive(Default)]
pub(super) struct Need {
    pub(super) uses: usize,
    pub(super) backups: usize,
    pub(super) hold: Hold,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Hold {
    #[default]
    None,
    AsBackup,
    Use,
}

impl Need {
    pub(super) fn is_needed(&self) -> bool {
        self.uses + self.backups > 0
    }

    pub(super) fn count(&mut self, hold: Hold) -> Option<&mut usize> {
        match hold {
            Hold::None => None,
            Hold::AsBackup => Some(&mut self.backups),
            Hold::Use => Some(&mut self.uses),
        }
    }
}
