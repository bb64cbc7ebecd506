package dev.tidegate.files;

import alluxio.client.block.BlockMasterClient;
import alluxio.client.block.options.GetWorkerReportOptions;
import alluxio.client.block.options.GetWorkerReportOptions.WorkerInfoField;
import alluxio.client.block.options.GetWorkerReportOptions.WorkerRange;
import alluxio.client.file.FileSystemContext;
import alluxio.grpc.DecommissionWorkerPOptions;
import alluxio.grpc.WorkerLostStorageInfo;
import alluxio.resource.CloseableResource;
import alluxio.wire.WorkerInfo;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The master's view of its workers, and the decommission as any client may call it; one {@code forGood} disables. */
final class Workers {
  private final FileSystemContext context = FileSystemContext.create();

  Map<String, ?> report(Parameters p) throws Exception {
    GetWorkerReportOptions options =
        GetWorkerReportOptions.defaults()
            .setWorkerRange(WorkerRange.valueOf(p.text("range", "LIVE")))
            .setFieldRange(WorkerInfoField.ALL);
    List<Map<String, ?>> workers = new ArrayList<>();
    try (CloseableResource<BlockMasterClient> client = context.acquireBlockMasterClientResource()) {
      for (WorkerInfo worker : client.get().getWorkerReport(options)) {
        workers.add(describe(worker));
      }
    }
    return Map.of("workers", workers);
  }

  Map<String, ?> lostStorage(Parameters p) throws Exception {
    List<Map<String, ?>> lost = new ArrayList<>();
    try (CloseableResource<BlockMasterClient> client = context.acquireBlockMasterClientResource()) {
      for (WorkerLostStorageInfo worker : client.get().getWorkerLostStorage()) {
        List<String> directories = new ArrayList<>();
        worker.getLostStorageMap().values().forEach(list -> directories.addAll(list.getStorageList()));
        lost.add(Map.of("host", worker.getAddress().getHost(), "directories", directories));
      }
    }
    return Map.of("workers", lost);
  }

  Map<String, ?> decommission(Parameters p) throws Exception {
    DecommissionWorkerPOptions options =
        DecommissionWorkerPOptions.newBuilder()
            .setWorkerHostname(p.required("host"))
            .setWorkerWebPort(p.number("webPort", 30000))
            .setCanRegisterAgain(!Boolean.parseBoolean(p.text("forGood", "false")))
            .build();
    try (CloseableResource<BlockMasterClient> client = context.acquireBlockMasterClientResource()) {
      client.get().decommissionWorker(options);
    }
    return Map.of("host", p.required("host"));
  }

  private static Map<String, ?> describe(WorkerInfo worker) {
    Map<String, Object> told = new LinkedHashMap<>();
    told.put("host", worker.getAddress().getHost());
    told.put("rpcPort", worker.getAddress().getRpcPort());
    told.put("webPort", worker.getAddress().getWebPort());
    told.put("id", worker.getId());
    told.put("state", worker.getState().toString());
    told.put("capacityBytes", worker.getCapacityBytes());
    told.put("usedBytes", worker.getUsedBytes());
    told.put("blocks", worker.getBlockCount());
    told.put("lastContactSeconds", worker.getLastContactSec());
    told.put("startTimeMs", worker.getStartTimeMs());
    return told;
  }
}
