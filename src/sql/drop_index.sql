-- Drops an index of the installation. The schema is first in the search_path.
--
-- {{index}} name of the index, which needs no quotes

drop index {{index}}
