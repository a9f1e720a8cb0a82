package mysqlstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pillboxgo/pillbox/store/internal/contract"
)

// A layout is what the store has found out about the server and its table. It
// never changes.
type layout struct {
	several     bool // a packet may hold several statements
	maxData     int  // bytes of data that fit
	utf8        bool // the server takes nothing else for data
	lastExpires int64

	missing  []string // columns and indexes that Migrate adds
	taken    []string // columns of the owner's that are something else
	warnings []string
}

// columns of the table that the store looks at, by name.
type column struct {
	kind, full, charset, collation, key string
	characters, octets                  int64
}

// layout looks at the server and the table, the first time.
func (s *Store) layout(ctx context.Context) (*layout, error) {
	if l := s.known.Load(); l != nil {
		return l, nil
	}
	l, err := s.look(ctx)
	if err == nil {
		s.known.Store(l)
	}
	return l, err
}

// look finds out whether the table is one that keeps records as they are. It
// refuses a table that does not, before anything is lost in it.
func (s *Store) look(ctx context.Context) (*layout, error) {
	if s.bad != nil {
		return nil, s.bad
	}
	vars, several, err := s.variables(ctx)
	if err != nil {
		return nil, err
	}
	l := &layout{several: several}
	if err := l.server(vars); err != nil {
		return nil, err
	}
	columns, engine, err := s.columns(ctx)
	if err != nil {
		return nil, err
	}
	if len(columns) == 0 {
		// The server knows best whether there is no table or no permission.
		if err := query(ctx, s.db, "SELECT 1 FROM "+s.table.name+" LIMIT 0", 1, nil); err != nil {
			return nil, err
		}
		return nil, errors.New(remedyAccess)
	}
	if engine != "InnoDB" {
		return nil, fmt.Errorf("the table's engine is %q, which has no transactions: ALTER TABLE %s ENGINE=InnoDB", engine, s.table.name)
	}
	packet, _ := strconv.ParseInt(vars["max_allowed_packet"], 10, 64)
	if err := errors.Join(
		s.checkID(columns),
		l.checkExpires(s, columns),
		l.checkData(s, columns, packet),
	); err != nil {
		return nil, err
	}
	return l, s.indexes(ctx, l, columns)
}

// variables reads the server's variables that matter, and finds out whether the
// pool's connections take several statements in one packet.
func (s *Store) variables(ctx context.Context) (vars map[string]string, several bool, err error) {
	vars = map[string]string{}
	show := step{
		"SHOW SESSION VARIABLES WHERE Variable_name IN ('version', 'autocommit', 'max_allowed_packet'," +
			" 'innodb_flush_log_at_trx_commit', 'log_bin', 'sync_binlog', 'binlog_format')",
		2,
		func(scan func(...any) error) error {
			var name, value string
			err := scan(&name, &value)
			vars[name] = value
			return err
		},
	}
	err = steps(ctx, s.db, true, show, step{statement: "DO 0"})
	if code(err) == errSyntax {
		return vars, false, steps(ctx, s.db, true, show)
	}
	return vars, true, err
}

func (l *layout) server(vars map[string]string) error {
	version := vars["version"]
	if tooOld(version) {
		return fmt.Errorf("the server is version %.40q: the store needs MySQL 8.0 or MariaDB 10.6, or newer", version)
	}
	if vars["autocommit"] == "OFF" {
		return errors.New("autocommit is off, so that nothing would be kept: take autocommit=0 out of the DSN, or set autocommit=1")
	}
	if vars["log_bin"] == "ON" && vars["binlog_format"] == "STATEMENT" {
		return errors.New(remedyBinlog)
	}
	if v := vars["innodb_flush_log_at_trx_commit"]; v != "1" {
		l.warnings = append(l.warnings, "innodb_flush_log_at_trx_commit is "+v+
			": a crash may bring back sessions that ended in the second before it; set it to 1")
	}
	if v := vars["sync_binlog"]; vars["log_bin"] == "ON" && v != "1" {
		l.warnings = append(l.warnings, "sync_binlog is "+v+
			": a crash of the machine may bring back sessions that ended just before it; set it to 1")
	}
	return nil
}

// tooOld says whether the server lacks what the statements need. A version that
// it cannot read is taken for a new one.
func tooOld(version string) bool {
	oldest := [2]int{8, 0}
	if strings.Contains(version, "MariaDB") {
		oldest = [2]int{10, 6}
		version = strings.TrimPrefix(version, "5.5.5-") // for the sake of old clients
	}
	var major, minor int
	if n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor); n < 2 {
		return false
	}
	return major < oldest[0] || major == oldest[0] && minor < oldest[1]
}

// columns reads what the table is made of. There are none if there is no table
// that the user may read.
func (s *Store) columns(ctx context.Context) (columns map[string]column, engine string, err error) {
	columns = map[string]column{}
	err = query(ctx, s.db,
		"SELECT LOWER(c.column_name), LOWER(c.data_type), LOWER(c.column_type), COALESCE(c.character_set_name, ''),"+
			" COALESCE(c.collation_name, ''), c.column_key, COALESCE(c.character_maximum_length, 0),"+
			" COALESCE(c.character_octet_length, 0), COALESCE(t.engine, '')"+
			" FROM information_schema.columns c JOIN information_schema.tables t"+
			" ON t.table_schema = c.table_schema AND t.table_name = c.table_name"+
			" WHERE c.table_schema = DATABASE() AND c.table_name = "+characters(s.table.plain),
		9, func(scan func(...any) error) error {
			var name string
			var c column
			err := scan(&name, &c.kind, &c.full, &c.charset, &c.collation, &c.key, &c.characters, &c.octets, &engine)
			columns[name] = c
			return err
		})
	return columns, engine, err
}

func (s *Store) column(columns map[string]column, i int) (column, error) {
	name := s.table.columns[i]
	c, ok := columns[strings.ToLower(name)]
	if !ok {
		return c, fmt.Errorf("the table has no column %q: name the one it has in Columns", name)
	}
	return c, nil
}

func (s *Store) checkID(columns map[string]column) error {
	c, err := s.column(columns, 0)
	if err != nil {
		return err
	}
	alter := fmt.Sprintf("ALTER TABLE %s MODIFY %s varchar(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL", s.table.name, s.table.id)
	switch {
	case c.key != "PRI" && c.key != "UNI":
		return fmt.Errorf("column %q is no primary key, so that an id may be there twice: ALTER TABLE %s ADD PRIMARY KEY (%s)",
			s.table.columns[0], s.table.name, s.table.id)
	case c.kind != "varbinary" && !strings.HasSuffix(c.collation, "_bin"):
		return fmt.Errorf("column %q takes different ids for the same, by its collation %q: %s", s.table.columns[0], c.collation, alter)
	case c.characters < 128:
		return fmt.Errorf("column %q holds %d characters, and an id may have 128: %s", s.table.columns[0], c.characters, alter)
	}
	return nil
}

func (l *layout) checkExpires(s *Store, columns map[string]column) error {
	c, err := s.column(columns, 1)
	if err != nil {
		return err
	}
	unsigned := strings.Contains(c.full, "unsigned")
	switch {
	case c.kind == "int" && unsigned, c.kind == "bigint":
		l.lastExpires = math.MaxUint32
	case c.kind == "int":
		l.lastExpires = math.MaxInt32
	default:
		return fmt.Errorf("column %q is of type %q: ALTER TABLE %s MODIFY %s int unsigned NOT NULL",
			s.table.columns[1], c.full, s.table.name, s.table.expires)
	}
	return nil
}

func (l *layout) checkData(s *Store, columns map[string]column, packet int64) error {
	c, err := s.column(columns, 2)
	if err != nil {
		return err
	}
	text := strings.HasSuffix(c.kind, "text") || c.kind == "varchar"
	blob := strings.HasSuffix(c.kind, "blob") || c.kind == "varbinary"
	switch {
	case c.kind == "json":
		err = errors.New("is of type json, which does not keep the bytes that are stored in it")
	case !text && !blob:
		err = fmt.Errorf("is of type %q", c.full)
	case text && c.charset != "utf8mb4":
		err = fmt.Errorf("holds %q, which not every character fits into", c.charset)
	}
	if err != nil {
		return fmt.Errorf("column %q %w: ALTER TABLE %s MODIFY %s mediumtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
			s.table.columns[2], err, s.table.name, s.table.data)
	}
	// The data travels in hexadecimal digits.
	l.maxData = int(min(c.octets, (packet-4096)/2))
	l.utf8 = text
	return nil
}

// indexes notes what the table lacks that express-mysql-session does not make.
func (s *Store) indexes(ctx context.Context, l *layout, columns map[string]column) error {
	for name, fits := range map[string]func(column) bool{
		ownerColumn:   func(c column) bool { return c.kind == "varbinary" && c.octets >= maxUser },
		ownedAtColumn: func(c column) bool { return c.kind == "bigint" },
	} {
		if c, ok := columns[name]; !ok {
			l.missing = append(l.missing, name)
		} else if !fits(c) {
			l.taken = append(l.taken, name)
		}
	}
	led := map[string]bool{} // columns that an index begins with
	err := query(ctx, s.db,
		"SELECT LOWER(column_name) FROM information_schema.statistics"+
			" WHERE seq_in_index = 1 AND table_schema = DATABASE() AND table_name = "+characters(s.table.plain),
		1, func(scan func(...any) error) error {
			var name string
			err := scan(&name)
			led[name] = true
			return err
		})
	for _, name := range []string{ownerColumn, strings.ToLower(s.table.columns[1])} {
		if !led[name] {
			l.missing = append(l.missing, indexOf(name))
		}
	}
	return err
}

// expiry returns a deadline as the table keeps it, or an error if it is not in
// the future, or the column has room for the past only.
func (l *layout) expiry(deadline time.Time) (int64, error) {
	expires, now := l.seconds(deadline), time.Now()
	err := contract.CheckDeadline(deadline, now)
	if err == nil {
		err = contract.CheckDeadline(time.Unix(expires, 0), now)
	}
	return expires, err
}

// seconds returns t in whole seconds, rounded up, and within what the column
// takes. The last moment of an unsigned column is in the year 2106.
func (l *layout) seconds(t time.Time) int64 {
	return min(max(contract.Seconds(t), 0), l.lastExpires)
}

func (l *layout) check(data []byte) error {
	if err := contract.CheckData(data, l.maxData); err != nil {
		return err
	}
	if l.utf8 && !utf8.Valid(data) {
		return errors.New("the record is not UTF-8")
	}
	return nil
}
