import com.netflix.hollow.api.consumer.HollowConsumer;
import com.netflix.hollow.api.consumer.fs.HollowFilesystemBlobRetriever;
import com.netflix.hollow.core.index.HollowPrimaryKeyIndex;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;

/** The reading side: loads, memory, reads, refreshes, latencies, in the order of the other systems. */
final class Consume {
    private final HollowPeer.Turn turn;
    private final Workload workload;
    HollowConsumer consumer;
    HollowPrimaryKeyIndex index;
    View view;

    private Consume(HollowPeer.Turn turn) {
        this.turn = turn;
        workload = new Workload(turn.records);
    }

    static void run(HollowPeer.Turn turn) throws Exception {
        Consume consume = new Consume(turn);
        consume.loads();
        Reads reads = new Reads(consume.workload, consume.index, consume.view, turn.passes);
        reads.byKey();
        consume.applies();
        new Latency(turn, consume.workload, consume).phases(consume.steps());
        reads.byCountry(consume.consumer.getStateEngine());
    }

    private double load() {
        consumer = null;
        index = null;
        view = null;
        System.gc();
        long start = System.nanoTime();
        consumer = HollowConsumer.withBlobRetriever(new HollowFilesystemBlobRetriever(turn.blobs())).build();
        consumer.triggerRefreshTo(Produce.FIRST_VERSION);
        index = new HollowPrimaryKeyIndex(consumer.getStateEngine(), "Movie", "id");
        double seconds = Say.seconds(start);
        index.listenForDeltaUpdates();
        view = new View(consumer.getStateEngine());
        return seconds;
    }

    private void loads() throws Exception {
        collect();
        long before = used();
        Say.figure("load_cold").value("s", load());
        collect();
        Say.figure("bytes_per_record").value("bytes", (double) (used() - before) / turn.records);
        int stride = Math.max(1, turn.records / 200_000);
        for (int id = 0; id < turn.records; id += stride) view.check(index, workload.current(id));
        Say.must(index.getMatchingOrdinal((long) turn.records) == -1, "a key that no movie has");
        // The compiler needs a few to be warm.
        for (int warm = 0; warm < 2; warm++) load();
        List<Double> times = new ArrayList<>();
        for (int pass = 0; pass < turn.passes; pass++) times.add(load());
        Say.figure("load_warm").median("s", times);
    }

    /** A version of the chain. */
    record Step(long from, long to, int size, int repetition) {}

    private List<Step> steps() throws IOException {
        List<Step> steps = new ArrayList<>();
        for (String line : Files.readAllLines(turn.folder.resolve("chain.tsv"))) {
            String[] cells = line.split("\t");
            steps.add(new Step(Long.parseLong(cells[0]), Long.parseLong(cells[1]), Integer.parseInt(cells[2]), Integer.parseInt(cells[3])));
        }
        return steps;
    }

    private void applies() throws Exception {
        for (int size : workload.sizes()) {
            List<Double> times = new ArrayList<>();
            for (Step step : steps()) {
                if (step.size != size) continue;
                if (step.repetition == 0) {
                    peak(step);
                    warmUp(step);
                }
                long start = System.nanoTime();
                consumer.triggerRefreshTo(step.to);
                times.add(Say.seconds(start));
                Workload.Changes changes = workload.change(size, step.repetition);
                int stride = Math.max(1, size / 1_000);
                for (int j = 0; j < size; j += stride) view.check(index, workload.current(changes.ids[j]));
            }
            Say.figure("apply_delta").changes(size).median("s", times);
        }
    }

    /**
     * What is allocated during a refresh is in memory with what was there before it, until a collection; that a collection
     * could come in between makes this an upper bound.
     */
    private void peak(Step step) throws Exception {
        collect();
        long before = used(), allocated = allocated();
        consumer.triggerRefreshTo(step.to);
        double peak = before + (allocated() - allocated);
        Say.figure("refresh_peak_ratio").changes(step.size).value("ratio", peak / before);
        consumer.triggerRefreshTo(step.from);
    }

    /** Forth and back over one delta, so that the compiler has seen this kind. */
    void warmUp(Step step) {
        long start = System.nanoTime();
        for (int pair = 0; pair < 20 && Say.seconds(start) < turn.seconds; pair++) {
            consumer.triggerRefreshTo(step.to);
            consumer.triggerRefreshTo(step.from);
        }
    }

    private static void collect() throws InterruptedException {
        for (int i = 0; i < 5; i++) {
            System.gc();
            Thread.sleep(100);
        }
    }

    private static long used() {
        Runtime runtime = Runtime.getRuntime();
        return runtime.totalMemory() - runtime.freeMemory();
    }

    private static long allocated() {
        return ((com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean()).getCurrentThreadAllocatedBytes();
    }
}
