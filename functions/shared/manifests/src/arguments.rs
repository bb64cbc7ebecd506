//! The command line.

use tidegate_manifests::{Layout, Settings};

pub(crate) const USAGE: &str = "\
Prints the Kubernetes manifests of a cluster, for `kubectl apply -f -`.

tidegate-manifests render --layout 2x300g [--layout 1x300g ...] --alluxio-masters HOST:PORT[,HOST:PORT ...]

  --layout LAYOUT                 disks of a node group's instance type: counts and sizes in GB
  --alluxio-masters LIST          the Alluxio masters, seen from the nodes
  --alluxio-namespace NAME        where the workers run (alluxio)
  --alluxio-image IMAGE           at least 2.9.4 (alluxio/alluxio:2.9.5)
  --alluxio-property NAME=VALUE   for every Alluxio process; may be given several times
  --provisioner-image IMAGE       (registry.k8s.io/sig-storage/local-volume-provisioner:v2.9.0)
  --worker-list-refresh-seconds N how old a client's list of workers may be (120)
  --worker-heap-mib N             (4096)   --worker-direct-mib N      (4096)
  --job-worker-heap-mib N         (1024)   --job-worker-direct-mib N  (1024)";

/// Reads the settings from the arguments after the program's name; the error is a sentence.
pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Settings, String> {
    let mut arguments = arguments.into_iter();
    match arguments.next().as_deref() {
        Some("render") => (),
        Some(other) => return Err(format!("{other:?} is no command; the only one is render")),
        None => return Err("no command is given; the only one is render".into()),
    }
    let mut settings = Settings::new(Vec::new(), Vec::new());
    while let Some(option) = arguments.next() {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (option, None),
        };
        let Some(value) = value.or_else(|| arguments.next()) else {
            return Err(format!("{name} is given without a value"));
        };
        set(&mut settings, &name, value)?;
    }
    Ok(settings)
}

fn set(settings: &mut Settings, name: &str, value: String) -> Result<(), String> {
    match name {
        "--layout" => settings
            .layouts
            .push(Layout::parse(&value).map_err(|error| error.to_string())?),
        "--alluxio-masters" => settings.masters.extend(value.split(',').map(str::to_owned)),
        "--alluxio-namespace" => settings.namespace = value,
        "--alluxio-image" => settings.alluxio_image = value,
        "--alluxio-property" => {
            let (property, value) = value
                .split_once('=')
                .ok_or_else(|| format!("{name} {value:?} is not a name, =, and a value"))?;
            settings.properties.push((property.to_owned(), value.to_owned()));
        }
        "--provisioner-image" => settings.provisioner_image = value,
        "--worker-list-refresh-seconds" => settings.worker_list_refresh_seconds = number(name, &value)?,
        "--worker-heap-mib" => settings.worker.heap_mib = number(name, &value)?,
        "--worker-direct-mib" => settings.worker.direct_mib = number(name, &value)?,
        "--job-worker-heap-mib" => settings.job_worker.heap_mib = number(name, &value)?,
        "--job-worker-direct-mib" => settings.job_worker.direct_mib = number(name, &value)?,
        _ => return Err(format!("{name:?} is no option")),
    }
    Ok(())
}

fn number(name: &str, value: &str) -> Result<u32, String> {
    value
        .parse()
        .ok()
        .filter(|&number| number > 0)
        .ok_or_else(|| format!("{name} {value:?} is not a whole number above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Settings, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_taken_with_a_space_or_an_equals_sign() {
        let settings = parsed(
            "render --layout=2x300g --layout 1x300g --alluxio-masters a:1,b:2 \
             --alluxio-property x.y=z=1 --worker-heap-mib 512",
        )
        .expect("valid");
        assert_eq!(settings.layouts.len(), 2);
        assert_eq!(settings.masters, ["a:1", "b:2"]);
        assert_eq!(settings.properties, [("x.y".to_owned(), "z=1".to_owned())]);
        assert_eq!(settings.worker.heap_mib, 512);
    }

    #[test]
    fn what_is_wrong_with_the_line_is_one_sentence() {
        for (line, sentence) in [
            ("", "no command is given; the only one is render"),
            ("apply", "\"apply\" is no command; the only one is render"),
            ("render --layout", "--layout is given without a value"),
            ("render --colour red", "\"--colour\" is no option"),
            (
                "render --worker-heap-mib 4g",
                "--worker-heap-mib \"4g\" is not a whole number above 0",
            ),
            (
                "render --alluxio-property x",
                "--alluxio-property \"x\" is not a name, =, and a value",
            ),
        ] {
            assert_eq!(parsed(line).expect_err(line), sentence);
        }
    }
}
