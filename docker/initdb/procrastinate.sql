-- For /docker-entrypoint-initdb.d of the image: installs Procrastinate's schema in POSTGRES_DB when
-- the container starts with an empty data folder.
--
--     docker run -v "$PWD/docker/initdb:/docker-entrypoint-initdb.d:ro" -e POSTGRES_PASSWORD=... NAME
--
-- A later version's schema: CALL procrastinate_migrate();
CREATE EXTENSION procrastinate_migrate;
SELECT procrastinate_upgrade('head');
