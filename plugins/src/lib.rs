//! The standard plugin library, compiled to components and embedded.
//!
//! The sources are the crates beside this one. Compiling this crate compiles them, so the binary needs no files at run time
//! and every user of one release has the same component hashes: `hashes.txt` lists them.

pub mod recipe;

/// A plugin that every installation has.
#[derive(Debug, Clone, Copy)]
pub struct StandardPlugin {
    /// The name under which definitions refer to it.
    pub name: &'static str,
    /// The bytes of its component.
    pub component: &'static [u8],
}

/// The standard plugins, by name.
pub fn standard() -> &'static [StandardPlugin] {
    include!(concat!(env!("OUT_DIR"), "/standard.rs"))
}

/// The standard plugin of this name.
pub fn plugin(name: &str) -> Option<StandardPlugin> {
    standard().iter().find(|plugin| plugin.name == name).copied()
}

#[cfg(test)]
mod tests;
