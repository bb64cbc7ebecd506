//! The Kubernetes manifests of a cluster: the templates of `infra/kubernetes`, filled in, and the functions' RBAC.
//!
//! Quotas and claims come from [`tidegate_domain::disks`], by which the functions judge what they find.

mod layout;
mod record;
mod settings;

use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior, context};
use thiserror::Error;

pub use layout::{Layout, Tier};
pub use settings::{JavaMemory, Settings};

/// What is wrong with the settings, in a sentence for the person who wrote them.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Error(pub(crate) String);

macro_rules! template {
    ($name:literal) => {
        include_str!(concat!("../../../../infra/kubernetes/", $name, ".yaml.j2"))
    };
}

/// For the cluster as a whole, in the order in which they depend on each other.
const CLUSTER: [&str; 5] = [
    template!("namespace"),
    template!("storage-class"),
    template!("provisioner"),
    template!("alluxio-config"),
    template!("drain-rate"),
];
/// For each disk layout.
const WORKER: &str = template!("alluxio-worker");

macro_rules! rbac {
    ($function:literal) => {
        include_str!(concat!("../../../", $function, "/rbac.yaml"))
    };
}

/// The rights of each function that talks to Kubernetes, as they stand beside it.
const RBAC: [&str; 9] = [
    rbac!("check-drift"),
    rbac!("label-node"),
    rbac!("provision-volumes"),
    rbac!("schedule-worker"),
    rbac!("cordon-node"),
    rbac!("evict-pods"),
    rbac!("drain-cache"),
    rbac!("retire-worker"),
    rbac!("choose-victims"),
];
/// The namespace that the files in [`RBAC`] name.
const RBAC_NAMESPACE: &str = "\n  namespace: alluxio\n";

/// Renders everything as one stream of YAML documents for `kubectl apply -f -`.
pub fn render(settings: &Settings) -> Result<String, Error> {
    check(settings)?;
    let properties = settings.all_properties()?;
    let memory = |of: JavaMemory| {
        context! { heap_mib => of.heap_mib, direct_mib => of.direct_mib, limit_mib => of.limit_mib() }
    };
    let fill = |template: &str, layout: Option<&Layout>| {
        let mut environment = Environment::new();
        // A name that a template misspells is an error, not an empty place.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment
            .render_str(
                template,
                context! {
                    namespace => &settings.namespace,
                    alluxio_image => &settings.alluxio_image,
                    provisioner_image => &settings.provisioner_image,
                    properties => Value::from(Serde(&properties)),
                    worker => memory(settings.worker),
                    job_worker => memory(settings.job_worker),
                    layout => layout.map(|layout| Value::from(Serde(layout))),
                },
            )
            .map_err(|error| Error(format!("the manifests cannot be rendered: {error:#}")))
    };
    let mut documents = Vec::new();
    for template in CLUSTER {
        documents.push(fill(template, None)?);
    }
    for layout in &settings.layouts {
        documents.push(fill(WORKER, Some(layout))?);
    }
    let namespace = format!("\n  namespace: {}\n", settings.namespace);
    documents.extend(RBAC.map(|rules| rules.replace(RBAC_NAMESPACE, &namespace)));
    documents.push(record::of(&documents)?);
    let mut stream = String::new();
    for document in &documents {
        stream.push_str("---\n");
        stream.push_str(document.trim_end());
        stream.push('\n');
    }
    Ok(stream)
}

fn check(settings: &Settings) -> Result<(), Error> {
    if settings.layouts.is_empty() {
        return Err(Error("no disk layout is named: no worker would ever run".into()));
    }
    for (index, layout) in settings.layouts.iter().enumerate() {
        if settings.layouts[..index].contains(layout) {
            return Err(Error(format!("disk layout {} is named twice", layout.name)));
        }
    }
    let in_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let namespace = &settings.namespace;
    if namespace.is_empty() || namespace.len() > 63 || !namespace.chars().all(in_name) {
        return Err(Error(format!("namespace {namespace:?} is not a Kubernetes name")));
    }
    for image in [&settings.alluxio_image, &settings.provisioner_image] {
        if image.is_empty()
            || !image
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "./:@_-".contains(c))
        {
            return Err(Error(format!("image {image:?} is not the name of an image")));
        }
    }
    Ok(())
}
