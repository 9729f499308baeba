//! `oast plugin`: one file a subcommand.

mod component;
mod inspect;
mod publish;
mod run;

use crate::{
    args::{self, Global},
    authoring,
};

/// `oast plugin`
pub(crate) fn plugin(global: &Global, args: &args::Plugin) -> anyhow::Result<()> {
    match args {
        args::Plugin::New(args) => authoring::new(global, args),
        args::Plugin::Build { project } => authoring::build(global, project),
        args::Plugin::Test { project, update } => authoring::test(global, project, *update),
        args::Plugin::Inspect(args) => inspect::inspect(global, args),
        args::Plugin::Run(args) => run::run(global, args),
        args::Plugin::Publish(args) => publish::publish(global, args),
    }
}
