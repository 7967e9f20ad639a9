//! The mediators: one file for each step of the language. A file holds the documented settings, how they are compiled, what runs per
//! message, and the tests, which go through YAML.

mod place;
mod slots;
mod text;

#[cfg(test)]
mod testing;

pub mod log;
pub mod payload;
pub mod remove;
pub mod set;

pub mod convert;
pub mod enrich;
pub mod validate;

pub mod filter;
pub mod switch;

pub mod aggregate;
pub mod clone;
pub mod foreach;
mod parts;
pub mod scatter_gather;
pub mod split;

pub mod call;
pub mod drop;
mod outgoing;
pub mod respond;
pub mod send;

pub mod claim_check;
pub mod delete_file;
pub mod file_exists;
mod file_step;
pub mod idempotent;
pub mod list_files;
pub mod read_file;
pub mod store;
pub mod store_state;

pub mod sequence;
pub mod throw;
pub mod r#try;

pub mod cors;
pub mod delay;
pub mod throttle;
pub mod url_rewrite;

use engine::registry::StepSpec;

/// All mediators, in the order of the documentation.
pub static ALL: &[StepSpec] = &[
    StepSpec::of::<log::LogConfig>(),
    StepSpec::of::<set::SetConfig>(),
    StepSpec::of::<remove::RemoveConfig>(),
    StepSpec::of::<payload::PayloadConfig>(),
    StepSpec::of::<convert::ConvertConfig>(),
    StepSpec::of::<enrich::EnrichConfig>(),
    StepSpec::of::<validate::ValidateConfig>(),
    StepSpec::of::<filter::FilterConfig>(),
    StepSpec::of::<switch::SwitchConfig>(),
    StepSpec::of::<foreach::ForeachConfig>(),
    StepSpec::of::<split::SplitConfig>(),
    StepSpec::of::<aggregate::AggregateConfig>(),
    StepSpec::of::<clone::CloneConfig>(),
    StepSpec::of::<scatter_gather::ScatterGatherConfig>(),
    StepSpec::of::<call::CallConfig>(),
    StepSpec::of::<send::SendConfig>(),
    StepSpec::of::<store::StoreConfig>(),
    StepSpec::of::<store_state::StoreStateConfig>(),
    StepSpec::of::<idempotent::IdempotentConfig>(),
    StepSpec::of::<claim_check::ClaimCheckConfig>(),
    StepSpec::of::<respond::RespondConfig>(),
    StepSpec::of::<drop::DropConfig>(),
    StepSpec::of::<list_files::ListFilesConfig>(),
    StepSpec::of::<read_file::ReadFileConfig>(),
    StepSpec::of::<delete_file::DeleteFileConfig>(),
    StepSpec::of::<file_exists::FileExistsConfig>(),
    StepSpec::of::<sequence::SequenceConfig>(),
    StepSpec::of::<r#try::TryConfig>(),
    StepSpec::of::<throw::ThrowConfig>(),
    StepSpec::of::<throttle::ThrottleConfig>(),
    StepSpec::of::<cors::CorsConfig>(),
    StepSpec::of::<delay::DelayConfig>(),
    StepSpec::of::<url_rewrite::UrlRewriteConfig>(),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_builds_without_diagnostics() {
        for spec in ALL {
            let yaml = testing::example_project(spec.example);
            if let Err(diagnostics) = testing::deployment(&yaml) {
                panic!("the example of `{}`:\n{diagnostics}", spec.name);
            }
            assert!(
                spec.example.contains(spec.name),
                "the example of `{}` shows it",
                spec.name
            );
        }
    }

    #[test]
    fn every_mediator_refuses_unknown_keys_with_their_place() {
        for spec in ALL.iter().filter(|spec| !matches!(spec.name, "set")) {
            let yaml = format!("sequences:\n  main:\n    - {}: {{ wrongkey: 1 }}\n", spec.name);
            let diagnostics = testing::deployment(&yaml).err().unwrap_or_default();
            assert!(diagnostics.contains("wrongkey"), "{}: {diagnostics}", spec.name);
            assert!(
                diagnostics.contains("test.yaml:3:"),
                "{}: {diagnostics}",
                spec.name
            );
        }
    }
}
