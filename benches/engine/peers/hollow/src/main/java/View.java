import com.netflix.hollow.core.index.HollowPrimaryKeyIndex;
import com.netflix.hollow.core.read.engine.HollowReadStateEngine;
import com.netflix.hollow.core.read.engine.list.HollowListTypeReadState;
import com.netflix.hollow.core.read.engine.object.HollowObjectTypeReadState;
import com.netflix.hollow.core.schema.HollowObjectSchema;
import com.netflix.hollow.core.schema.HollowObjectSchema.FieldType;

/** Hollow's typed read states and field positions, bound once. */
final class View {
    final HollowObjectTypeReadState movie, actor, string;
    final HollowListTypeReadState castList, genreList;
    final int title, year, rating, cast;
    private final int id, runtime, country, genres, synopsis, actorId, name;
    private final boolean reference;

    View(HollowReadStateEngine engine) {
        movie = (HollowObjectTypeReadState) engine.getTypeState("Movie");
        actor = (HollowObjectTypeReadState) engine.getTypeState("Actor");
        string = (HollowObjectTypeReadState) engine.getTypeState("String");
        castList = (HollowListTypeReadState) engine.getTypeState("ListOfActor");
        genreList = (HollowListTypeReadState) engine.getTypeState("ListOfString");
        HollowObjectSchema schema = movie.getSchema();
        id = schema.getPosition("id");
        title = schema.getPosition("title");
        year = schema.getPosition("year");
        rating = schema.getPosition("rating");
        runtime = schema.getPosition("runtimeMinutes");
        country = schema.getPosition("country");
        genres = schema.getPosition("genres");
        cast = schema.getPosition("cast");
        synopsis = schema.getPosition("synopsis");
        reference = schema.getFieldType(synopsis) == FieldType.REFERENCE;
        actorId = actor.getSchema().getPosition("actorId");
        name = actor.getSchema().getPosition("name");
    }

    String title(int ordinal) { return string.readString(movie.readOrdinal(ordinal, title), 0); }

    String actorName(int ordinal) { return string.readString(actor.readOrdinal(ordinal, name), 0); }

    /** Every field of a record against the generator's. */
    void check(HollowPrimaryKeyIndex index, Workload.Movie expected) {
        int o = index.getMatchingOrdinal(expected.id);
        Say.must(o >= 0, "movie " + expected.id + " is there");
        boolean same = movie.readLong(o, id) == expected.id
                && title(o).equals(expected.title)
                && movie.readInt(o, year) == expected.year
                && movie.readFloat(o, rating) == expected.rating
                && movie.readInt(o, runtime) == expected.runtimeMinutes
                && string.readString(movie.readOrdinal(o, country), 0).equals(expected.country)
                && (reference ? string.readString(movie.readOrdinal(o, synopsis), 0) : movie.readString(o, synopsis)).equals(expected.synopsis);
        int list = movie.readOrdinal(o, genres);
        same &= genreList.size(list) == expected.genres.size();
        for (int j = 0; same && j < expected.genres.size(); j++) {
            same = string.readString(genreList.getElementOrdinal(list, j), 0).equals(expected.genres.get(j));
        }
        list = movie.readOrdinal(o, cast);
        same &= castList.size(list) == expected.cast.size();
        for (int j = 0; same && j < expected.cast.size(); j++) {
            int member = castList.getElementOrdinal(list, j);
            same = actor.readInt(member, actorId) == expected.cast.get(j).actorId && actorName(member).equals(expected.cast.get(j).name);
        }
        Say.must(same, "movie " + expected.id);
    }
}
