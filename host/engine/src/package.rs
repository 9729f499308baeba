//! The versions of the package `oast:transform` that this host speaks, side by side.

use wasmtime::component::{Component, ComponentExportIndex};

/// A version of the package `oast:transform`. A component keeps to the one it was built against; every version that ever
/// was released stays here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Package {
    /// `oast:transform@0.1.0`: descriptors do not say what an aggregate promises of merging.
    V0_1,
    /// `oast:transform@0.2.0`.
    V0_2,
}

impl Package {
    /// All of them, the oldest first.
    pub const ALL: [Self; 2] = [Self::V0_1, Self::V0_2];

    /// The one that new components are built against.
    pub const CURRENT: Self = Self::V0_2;

    /// The package's name with its version.
    pub fn name(self) -> &'static str {
        match self {
            Self::V0_1 => "oast:transform@0.1.0",
            Self::V0_2 => "oast:transform@0.2.0",
        }
    }

    /// A function that the component exports in an interface of this package.
    pub(crate) fn find(self, component: &Component, interface: &str, function: &str) -> Option<ComponentExportIndex> {
        let (package, version) = self.name().split_once('@').expect("a package has a version");
        let interface = component.get_export_index(None, format!("{package}/{interface}@{version}"))?;
        component.get_export_index(Some(&interface), function)
    }
}
