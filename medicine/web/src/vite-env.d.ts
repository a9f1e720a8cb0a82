interface ImportMetaEnv {
  readonly VITE_BASE_URL?: string;
}
