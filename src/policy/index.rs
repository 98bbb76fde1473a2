//! The rules of some blocks, put where they are cheap to ask.
//!
//! ```text
//!   few rules, or literal ones alone   one block of bytes, looked through from end to end    list
//!   many rules                         a tree over the levels of their filters               tree
//! ```
//!
//! Both answer alike. Rules are numbered through all blocks; a number becomes a rule with its text and its line again
//! only when somebody reads the reason of a decision. The rules that devices have of their own are most of a large
//! registry: there the list is all that is kept, and the block is made anew from it when it is asked for.

use std::{
    borrow::Cow,
    path::Path,
    ptr,
    sync::{Arc, OnceLock},
};

use super::{
    Block, Effect, Limits, Owner, Rule, Subject,
    list::{self, List},
    says::Says,
    tree::Tree,
};
use crate::topic::Placeholder;

/// The compiled rules of some blocks: immutable, shared by every device that has these blocks.
#[derive(Debug)]
pub struct Index {
    form: Form,
    kept: Kept,
}

/// How the rules are laid out.
#[derive(Debug)]
enum Form {
    Tree(Box<Tree>),
    List(Box<[u8]>),
}

/// What tells a rule from all others that are in memory: never looked into.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Identity(*const (), u32);

/// What numbers become rules again with.
#[derive(Debug)]
enum Kept {
    Blocks(Box<Numbered>),
    /// A device's own block, made from the list when it is asked for.
    Packed {
        file: Arc<Path>,
        made: OnceLock<Box<[Arc<Block>; 1]>>,
    },
}

#[derive(Debug)]
struct Numbered {
    blocks: Box<[Arc<Block>]>,
    /// Number of the first rule of each block.
    firsts: Box<[u32]>,
}

/// What is asked of an index: one of the two forms.
#[derive(Clone, Copy)]
pub(super) enum Asks<'a> {
    Tree(&'a Tree),
    List(List<'a>),
}

impl Index {
    /// Compiles the rules of `blocks`; their order is the order in which reasons prefer rules.
    ///
    /// Costs a sort of all rules.
    #[must_use]
    pub fn compile(blocks: &[Arc<Block>]) -> Self {
        match list::compile(blocks, "") {
            Some(list) => Self { form: Form::List(list), kept: Kept::of(blocks) },
            None => Self::compile_tree(blocks),
        }
    }

    /// The same in the form for many rules, however few they are.
    #[must_use]
    pub fn compile_tree(blocks: &[Arc<Block>]) -> Self {
        Self { form: Form::Tree(Box::new(Tree::compile(blocks))), kept: Kept::of(blocks) }
    }

    /// Compiles a device's own rules, in so few bytes that a registry can have a million such blocks.
    #[must_use]
    pub fn compile_own(block: &Arc<Block>) -> Self {
        let blocks = std::slice::from_ref(block);
        if let (Owner::Device(name), [first, others @ ..]) = (&block.owner, &*block.rules)
            && others.iter().all(|rule| rule.place.file == first.place.file)
            && let Some(list) = list::compile(blocks, name)
        {
            let file = Arc::clone(&first.place.file);
            return Self { form: Form::List(list), kept: Kept::Packed { file, made: OnceLock::new() } };
        }
        Self::compile(blocks)
    }

    /// How many bytes its own tables occupy; the blocks it keeps for its reasons are not counted.
    #[must_use]
    pub fn table_bytes(&self) -> usize {
        match &self.form {
            Form::Tree(tree) => tree.table_bytes(),
            Form::List(list) => list.len(),
        }
    }

    /// Whether some rule speaks of `{clientid}`.
    #[must_use]
    pub fn reads_client_id(&self) -> bool {
        match self.asks() {
            Asks::Tree(tree) => tree.reads_client_id(),
            Asks::List(list) => list.reads_client_id(),
        }
    }

    /// The blocks it was compiled from. Those of a device's own are made when they are asked for first, and kept: for a
    /// command, which ends. The plugin asks for [`lent_blocks`](Self::lent_blocks).
    #[must_use]
    pub fn blocks(&self) -> &[Arc<Block>] {
        match &self.kept {
            Kept::Blocks(kept) => &kept.blocks,
            Kept::Packed { file, made } => {
                &**made.get_or_init(|| Box::new([Arc::new(List::of(self.list_bytes()).block(file))]))
            }
        }
    }

    /// The same for somebody who needs them once: what is made for it is not kept. A registry's blocks take many times
    /// the memory of its lists.
    #[must_use]
    pub fn lent_blocks(&self) -> Cow<'_, [Arc<Block>]> {
        match &self.kept {
            Kept::Packed { file, made } if made.get().is_none() => {
                Cow::Owned(vec![Arc::new(List::of(self.list_bytes()).block(file))])
            }
            Kept::Packed { .. } | Kept::Blocks(_) => Cow::Borrowed(self.blocks()),
        }
    }

    /// Whether another surely has the same rules, wherever they are written: told of packed blocks alone, without making
    /// them.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.kept, &other.kept) {
            (Kept::Packed { .. }, Kept::Packed { .. }) => {
                List::of(self.list_bytes()).is_same(List::of(other.list_bytes()))
            }
            _ => ptr::eq(self, other),
        }
    }

    /// Whether it keeps no block but those that it was given.
    #[cfg(test)]
    pub(crate) fn is_packed(&self) -> bool {
        matches!(&self.kept, Kept::Packed { made, .. } if made.get().is_none())
    }

    pub(super) fn asks(&self) -> Asks<'_> {
        match &self.form {
            Form::Tree(tree) => Asks::Tree(tree),
            Form::List(list) => Asks::List(List::of(list)),
        }
    }

    fn list_bytes(&self) -> &[u8] {
        match &self.form {
            Form::Tree(_) => &[],
            Form::List(list) => list,
        }
    }

    /// The rule itself with whose it is, for whoever reads a reason. That of a packed block is made for it.
    pub(super) fn written(&self, number: u32) -> Option<(Cow<'_, Owner>, Cow<'_, Rule>)> {
        match &self.kept {
            Kept::Blocks(kept) => {
                let (block, first) = kept.block_of(number)?;
                let rule = block.rules.get(at(number - first))?;
                Some((Cow::Borrowed(&block.owner), Cow::Borrowed(rule)))
            }
            Kept::Packed { file, .. } => {
                let (owner, rule) = List::of(self.list_bytes()).written(number, file)?;
                Some((Cow::Owned(owner), Cow::Owned(rule)))
            }
        }
    }

    /// Tells rules apart, also those of several indexes that share a block.
    pub(super) fn identity(&self, number: u32) -> Identity {
        match &self.kept {
            Kept::Blocks(kept) => {
                let rule =
                    kept.block_of(number).and_then(|(block, first)| block.rules.get(at(number - first)));
                Identity(rule.map_or_else(ptr::null, ptr::from_ref).cast(), 0)
            }
            Kept::Packed { .. } => Identity(ptr::from_ref(self).cast(), number),
        }
    }

    /// The limits of a rule's block.
    pub(super) fn limits(&self, number: u32) -> Option<Limits> {
        match &self.kept {
            Kept::Blocks(kept) => kept.block_of(number).map(|(block, _)| block.limits),
            Kept::Packed { .. } => Some(List::of(self.list_bytes()).limits()),
        }
    }

    /// Whether there are deny rules that need values.
    pub(super) fn has_needs(&self) -> bool {
        matches!(&self.form, Form::Tree(tree) if tree.has_needs())
    }

    /// The first deny rule that needs a value which `subject` does not have or which cannot be filled in.
    pub(super) fn unfillable(&self, subject: &Subject<'_>) -> Option<(u32, &Placeholder)> {
        match &self.form {
            Form::Tree(tree) => tree.unfillable(subject),
            // No such rule is in a list.
            Form::List(_) => None,
        }
    }
}

impl Kept {
    fn of(blocks: &[Arc<Block>]) -> Self {
        let mut rules = 0;
        let first = |block: &Arc<Block>| {
            let first = number(rules);
            rules += block.rules.len();
            first
        };
        let firsts = blocks.iter().map(first).collect();
        Self::Blocks(Box::new(Numbered { blocks: blocks.into(), firsts }))
    }
}

impl Numbered {
    /// The block of a rule, and the number of the block's first.
    fn block_of(&self, number: u32) -> Option<(&Block, u32)> {
        // Of several blocks that begin at one number all but the last are empty.
        let place = self.firsts.partition_point(|first| *first <= number).checked_sub(1)?;
        let (block, first) = (self.blocks.get(place)?, *self.firsts.get(place)?);
        (at(number - first) < block.rules.len()).then_some((block, first))
    }
}

/// What the rules of `block` say, in their order.
pub(super) fn says_of(block: &Block) -> impl Iterator<Item = (&Rule, Says)> {
    let limited = block.limits != Limits::default();
    block.rules.iter().map(move |rule| {
        let says = Says::new(rule.effect, rule.actions);
        (rule, if limited && rule.effect == Effect::Allow { says.and(Says::LIMITED) } else { says })
    })
}

/// A number as a place in a slice. Where `usize` is narrower it could only miss, and a miss denies.
pub(super) fn at(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A count of things that were read from files of a bounded size, far below 2^32.
pub(super) fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
