import com.netflix.hollow.api.producer.HollowProducer;
import com.netflix.hollow.api.producer.fs.HollowFilesystemPublisher;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/** The publishing side: a chain for the reading side, and what cycles cost. Integrity checks are off, Hollow's fastest. */
final class Produce {
    /** Of a fixed width, since the retriever of files compares names. */
    static final long FIRST_VERSION = 1_000_001;

    private final HollowPeer.Turn turn;
    private final Workload workload;
    private final Workload.Movie[] movies;

    private Produce(HollowPeer.Turn turn) {
        this.turn = turn;
        workload = new Workload(turn.records);
        movies = new Workload.Movie[turn.records];
        for (int i = 0; i < movies.length; i++) movies[i] = workload.movie(i);
    }

    static void run(HollowPeer.Turn turn) throws Exception {
        Produce produce = new Produce(turn);
        produce.warmUp();
        produce.chain();
        System.gc();
        produce.fullCycles();
    }

    private Object mapped(Workload.Movie movie) { return turn.reference ? new Workload.MovieRef(movie) : movie; }

    private Class<?> model() { return turn.reference ? Workload.MovieRef.class : Workload.Movie.class; }

    private static HollowProducer.Builder<?> builder(Path folder) throws IOException {
        Path blobs = Files.createDirectories(folder.resolve("blobs"));
        Path stage = Files.createDirectories(folder.resolve("stage"));
        AtomicLong version = new AtomicLong(FIRST_VERSION - 1);
        HollowProducer.Builder<?> builder = HollowProducer.withPublisher(new HollowFilesystemPublisher(blobs))
                .withBlobStagingDir(stage.toFile())
                .withVersionMinter(version::incrementAndGet)
                .withNumStatesBetweenSnapshots(Integer.MAX_VALUE / 2);
        builder.noIntegrityCheck();
        return builder;
    }

    /** Lets the compiler see a publication before one is timed. */
    private void warmUp() throws Exception {
        int few = Math.min(movies.length, 100_000);
        HollowProducer producer = builder(turn.folder.resolve("warm")).build();
        producer.initializeDataModel(model());
        for (int cycle = 0; cycle < 2; cycle++) {
            producer.runCycle(state -> { for (int i = 0; i < few; i++) state.add(mapped(movies[i])); });
        }
    }

    private void chain() throws Exception {
        HollowProducer.Incremental producer = builder(turn.folder).buildIncremental();
        producer.initializeDataModel(model());
        long start = System.nanoTime();
        long version = producer.runIncrementalCycle(state -> { for (Workload.Movie movie : movies) state.addOrModify(mapped(movie)); });
        Say.figure("publish_full").value("s", Say.seconds(start));
        try (PrintWriter blobs = new PrintWriter(turn.folder.resolve("blobs.tsv").toFile());
                PrintWriter chain = new PrintWriter(turn.folder.resolve("chain.tsv").toFile())) {
            blobs.println("0\tsnapshot-" + version);
            for (int size : workload.sizes()) {
                List<Double> times = new ArrayList<>();
                for (int repetition = 0; repetition < turn.repetitions(size); repetition++) {
                    Workload.Movie[] changed = change(size, repetition);
                    start = System.nanoTime();
                    long next = producer.runIncrementalCycle(state -> { for (Workload.Movie movie : changed) state.addOrModify(mapped(movie)); });
                    times.add(Say.seconds(start));
                    blobs.println(size + "\tdelta-" + version + "-" + next);
                    chain.println(version + "\t" + next + "\t" + size + "\t" + repetition);
                    version = next;
                }
                Say.figure("update_cycle").changes(size).median("s", times);
            }
        }
    }

    private Workload.Movie[] change(int size, int repetition) {
        Workload.Changes changes = workload.change(size, repetition);
        Workload.Movie[] changed = new Workload.Movie[size];
        for (int j = 0; j < size; j++) {
            int id = changes.ids[j];
            movies[id] = changed[j] = movies[id].with(changes.ratingIntegers[j], changes.runtimes[j]);
        }
        return changed;
    }

    /** The whole catalog added again, on one thread, with nothing changed. */
    private void fullCycles() throws Exception {
        HollowProducer producer = builder(turn.folder.resolve("full")).build();
        producer.initializeDataModel(model());
        HollowProducer.Populator all = state -> { for (Workload.Movie movie : movies) state.add(mapped(movie)); };
        long first = producer.runCycle(all);
        List<Double> times = new ArrayList<>();
        for (int repetition = 0; repetition < Math.min(3, turn.repetitions); repetition++) {
            long start = System.nanoTime();
            long version = producer.runCycle(all);
            times.add(Say.seconds(start));
            Say.must(version == first, "an unchanged cycle makes no version");
        }
        Say.figure("full_cycle_unchanged").median("s", times);
    }
}
