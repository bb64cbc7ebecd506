"""Readings of sensors, written once and then summed up round after round, all of it in Alluxio: a job to drain nodes under.

    spark-submit --properties-file survive-a-drain.conf readings.py --at alluxio:///spark/readings

Each round reads all readings, writes their totals, reads these back, and compares them with totals of readings that never
left Spark. Standard output has a line of JSON for each step. The exit status is 1 when a total was wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F


def main() -> int:
    options = arguments()
    spark = SparkSession.builder.appName("readings").getOrCreate()
    readings = f"{options.at}/readings"
    generated(spark, options).write.mode("overwrite").parquet(readings)
    say("written", rows=options.rows, files=options.partitions)
    expected = totals(generated(spark, options)).collect()
    wrong = done = 0
    while done < options.rounds or (options.until and not exists(spark, options.until)):
        done += 1
        began = time.monotonic()
        # Each has a place of its own: a file of a former round is not written over while somebody looks at it.
        at = f"{options.at}/totals/round={done}"
        totals(spark.read.parquet(readings)).write.mode("overwrite").parquet(at)
        right = spark.read.parquet(at).orderBy("sensor").collect() == expected
        wrong += not right
        say("round", round=done, right=right, seconds=round(time.monotonic() - began, 1))
    say("done", rounds=done, wrong=wrong, **tasks(spark))
    spark.stop()
    return 1 if wrong else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at", required=True, help="directory in Alluxio, such as alluxio:///spark/readings")
    parser.add_argument("--rows", type=int, default=50_000_000, help="readings, of 8 bytes each when stored")
    parser.add_argument("--partitions", type=int, default=64, help="files that the readings are written to")
    parser.add_argument("--rounds", type=int, default=10, help="how often they are read, at the least")
    parser.add_argument("--until", help="goes on until this path exists")
    return parser.parse_args()


def generated(spark: SparkSession, options: argparse.Namespace) -> DataFrame:
    """The readings: the same ones whenever and wherever they are made. Hashes, as those cannot be compressed."""
    numbered = spark.range(options.rows, numPartitions=options.partitions)
    return numbered.select((F.col("id") % 16).alias("sensor"), F.xxhash64("id").alias("value"))


def totals(readings: DataFrame) -> DataFrame:
    """A row for each sensor."""
    # A sum of longs would overflow, and the same way each time.
    value = F.col("value").cast("decimal(38, 0)")
    summed = readings.groupBy("sensor").agg(F.count("*").alias("readings"), F.sum(value).alias("sum"), F.max("value").alias("max"))
    return summed.orderBy("sensor")


def exists(spark: SparkSession, path: str) -> bool:
    """Whether there is such a file in the file system that the path names."""
    asked = spark._jvm.org.apache.hadoop.fs.Path(path)
    return asked.getFileSystem(spark._jsc.hadoopConfiguration()).exists(asked)


def tasks(spark: SparkSession) -> dict[str, int]:
    """How many tasks the stages had that Spark still remembers, and how many attempts at them failed."""
    tracker = spark.sparkContext.statusTracker()
    stages = {stage for job in tracker.getJobIdsForGroup() for stage in tracker.getJobInfo(job).stageIds}
    told = [info for info in map(tracker.getStageInfo, stages) if info]
    return {"tasks": sum(info.numCompletedTasks for info in told), "failedTasks": sum(info.numFailedTasks for info in told)}


def say(step: str, **seen: object) -> None:
    print(json.dumps({"step": step, **seen}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
